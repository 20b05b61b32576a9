"""Who asks, and whether the roles bound to them allow it. Pods ask as their service accounts; tests, who may do all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.fakekube.errors import ApiError, Json
from tests.fakekube.store import Store

_PREFIX = "fakekube:"
_VERBS: Mapping[str, tuple[str, str]] = {
    "GET": ("get", "list"),
    "POST": ("create", "create"),
    "PUT": ("update", "update"),
    "PATCH": ("patch", "patch"),
    "DELETE": ("delete", "deletecollection"),
}
"""HTTP method → what it is called for one object, and for all of a kind."""


@dataclass(frozen=True)
class Account:
    """A service account."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def token(self) -> str:
        return f"{_PREFIX}{self.namespace}:{self.name}"


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    verb: str
    group: str
    resource: str
    """Plural, with `/subresource` where it is one."""
    namespace: str
    name: str


def account_of(header: str | None) -> Account | None:
    """By the Authorization header; None: one who may do all."""
    token = (header or "").removeprefix("Bearer ")
    if not token.startswith(_PREFIX):
        return None
    namespace, _, name = token.removeprefix(_PREFIX).partition(":")
    return Account(namespace, name)


def verb_of(method: str, *, one: bool, watching: bool = False) -> str:
    """one: the path names an object."""
    return "watch" if watching else _VERBS.get(method, (method.lower(),) * 2)[0 if one else 1]


def check(store: Store, account: Account, wish: Wish) -> None:
    """Raises ApiError 403 in Kubernetes' own words."""
    if any(_allows(rule, wish) for rule in _rules(store, account, wish.namespace)):
        return
    place = f' in the namespace "{wish.namespace}"' if wish.namespace else " at the cluster scope"
    message = (
        f'{wish.resource} "{wish.name}" is forbidden: User "{account.user}" cannot {wish.verb} resource '
        f'"{wish.resource}" in API group "{wish.group}"{place}'
    )
    raise ApiError(403, "Forbidden", message)


def _rules(store: Store, account: Account, namespace: str) -> Iterator[Json]:
    bindings = [*store.list("clusterrolebindings"), *(store.list("rolebindings", namespace) if namespace else ())]
    for binding in bindings:
        if any(_is(account, each, binding) for each in binding.get("subjects") or ()):
            role = store.named(binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"])
            yield from (role or {}).get("rules") or ()


def _is(account: Account, subject: Json, binding: Json) -> bool:
    if subject["kind"] == "ServiceAccount":
        place = subject.get("namespace") or binding["metadata"].get("namespace")
        return (place, subject["name"]) == (account.namespace, account.name)
    if subject["kind"] == "Group":
        groups = {"system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{account.namespace}"}
        return subject["name"] in groups
    return bool(subject["name"] == account.user)


def _allows(rule: Json, wish: Wish) -> bool:
    def within(key: str, value: str) -> bool:
        return bool({"*", value} & set(rule.get(key) or ()))

    names = rule.get("resourceNames")
    return (
        within("verbs", wish.verb)
        and within("apiGroups", wish.group)
        and within("resources", wish.resource)
        and (not names or wish.name in names)
    )
