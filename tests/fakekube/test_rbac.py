"""A service account may do what the roles bound to it allow, where they are bound, and nothing else."""

from __future__ import annotations

import pytest

from tests.fakekube.errors import ApiError, Json
from tests.fakekube.rbac import Account, Wish, account_of, check, verb_of
from tests.fakekube.store import Store

DRIVER = Account("here", "driver")
PODS = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}


@pytest.fixture
def store() -> Store:
    made = Store()
    for name in ("here", "there"):
        made.create(made.resources.named("ns"), "", {"metadata": {"name": name}})
    return made


def bind(store: Store, kind: str, rules: list[Json], subject: Json) -> None:
    """A Role in `here`, or a ClusterRole, and its binding."""
    store.create(store.resources.named(kind), "here", {"metadata": {"name": "r"}, "rules": rules})
    reference = {"kind": kind, "name": "r"}
    manifest = {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]}
    store.create(store.resources.named(f"{kind}Binding"), "here", manifest)


def allowed(store: Store, wish: Wish, account: Account = DRIVER) -> bool:
    try:
        check(store, account, wish)
    except ApiError as error:
        return error.code != 403
    return True


def test_a_role_holds_in_its_namespace_for_its_account_and_its_verbs(store: Store) -> None:
    bind(store, "Role", [PODS], {"kind": "ServiceAccount", "name": "driver"})
    assert allowed(store, Wish("list", "", "pods", "here", ""))
    assert allowed(store, Wish("get", "", "pods/log", "here", "p"))
    for wish in (
        Wish("list", "", "pods", "there", ""),
        Wish("list", "", "pods", "", ""),
        Wish("delete", "", "pods", "here", "p"),
        Wish("list", "", "secrets", "here", ""),
        Wish("list", "apps", "pods", "here", ""),
    ):
        assert not allowed(store, wish)
    assert not allowed(store, Wish("list", "", "pods", "here", ""), Account("there", "driver"))


def test_a_cluster_role_holds_everywhere_and_names_narrow_a_rule(store: Store) -> None:
    rules = [PODS, {"apiGroups": ["*"], "resources": ["secrets"], "verbs": ["*"], "resourceNames": ["mine"]}]
    bind(store, "ClusterRole", rules, {"kind": "Group", "name": "system:serviceaccounts:here"})
    assert allowed(store, Wish("list", "", "pods", "there", ""))
    assert allowed(store, Wish("delete", "", "secrets", "there", "mine"))
    assert not allowed(store, Wish("delete", "", "secrets", "there", "others"))


def test_who_asks_is_told_by_the_token_and_tests_may_do_all(store: Store) -> None:
    assert account_of(f"Bearer {DRIVER.token}") == DRIVER
    assert account_of("Bearer fakekube") is None and account_of(None) is None
    with pytest.raises(ApiError, match='User "system:serviceaccount:here:driver" cannot list resource "pods"'):
        check(store, DRIVER, Wish("list", "", "pods", "here", ""))


def test_methods_are_verbs() -> None:
    assert verb_of("GET", one=True) == "get" and verb_of("GET", one=False) == "list"
    assert verb_of("GET", one=False, watching=True) == "watch"
    assert verb_of("DELETE", one=False) == "deletecollection"
