"""Every command that a page shows, and the test that runs it; or what no test machine has, and the nearest test.

A command that is not here fails `test_registry.py` by name; so does an entry that no page shows any more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """test: `folder/test_x.py::test_y` below `tests`. instead: why that test runs something else than the command."""

    test: str
    instead: str = ""


EKS, COILED_RUN = "From nothing to a first run on EKS", "From nothing to a first run on Coiled"
AWS = "needs an AWS account"
DOCKER = "needs docker and the network"
HOUR = "takes an hour, and is what the tests are already"
QUIET = "measures, on a quiet machine"
STEPS = Way("cloud/test_steps.py::test_every_step_of_a_region_is_a_target", AWS)
CI = Way("docs/test_registry.py::test_ci_makes_these_targets")
TILE = Way("docs/test_land.py::test_a_first_real_tile_and_what_opens_it")
CONFIGS = Way("docs/test_land.py::test_commands_about_configs_run_on_the_demo")
FLOATS = Way("docs/test_floats.py::test_the_commands_copy_what_is_listed_and_make_what_it_touches")
ACROSS = Way("adopt/test_across.py::test_the_commands_of_the_page_run_in_order")
EVENTS = Way("events/test_example.py::test_the_commands_of_the_readme_do_what_it_says")
CLUSTERS = Way("docs/test_clusters.py::test_sections_of_the_chapter_are_rendered_and_planned")
KUBERNETES = "needs a Kubernetes of the name that is said; a stand-in of its API has another"
COILED = "needs an account of Coiled"

TAKEN = "docs/test_clusters.py::test_a_config_that_is_shown_is_taken"
VALUES = "docs/test_clusters.py::test_values_of_the_chart_that_are_shown_are_rendered"
PRODUCT = "test_contributing.py::test_one_file_is_a_product"
REFERENCE = "config/test_reference.py::test_the_examples_of_the_reference_load_and_fit_the_schema"
BLOCKS: dict[tuple[str, str, str], str] = {
    ("README.md", "A first real tile", "yaml"): TAKEN,
    ("README.md", "A first real tile", "python"): TILE.test,
    ("pipeline/results/README.md", "Files in others' hands", "python"): TILE.test,
    ("pipeline/results/README.md", "Zarr and GDAL", "python"): TILE.test,
    ("README.md", "In Python", "python"): "docs/test_land.py::test_the_lines_of_python_give_what_the_demo_made",
    ("CONTRIBUTING.md", "A new product", "python"): PRODUCT,
    ("CONTRIBUTING.md", "A new product", "yaml"): PRODUCT,
    ("configs/REFERENCE.md", "The smallest useful config", "yaml"): REFERENCE,
    ("configs/REFERENCE.md", "A large config", "yaml"): REFERENCE,
    ("configs/REFERENCE.md", "The file of rules for events", "yaml"): REFERENCE,
    ("configs/ARGO.md", "Floats", "yaml"): TAKEN,
    ("configs/ARGO.md", "Tables", "sql"): "docs/test_floats.py::test_duckdb_reads_the_files_alone",
    ("configs/ARGO.md", "Tables", "python"): "docs/test_floats.py::test_profiles_are_opened_and_saved",
    ("configs/ARGO.md", "Databases", "sql"): "docs/test_floats.py::test_the_databases_answer_the_query",
    ("configs/ARGO.md", "Databases", "http"): "docs/test_floats.py::test_the_addresses_are_routes_that_take_this",
    ("cluster/README.md", "Where it runs", "yaml"): TAKEN,
    ("cluster/README.md", EKS, "hcl"): "docs/test_clusters.py::test_variables_of_terraform_that_are_shown_are_declared",
    ("cluster/README.md", EKS, "yaml"): TAKEN,
    ("cluster/README.md", COILED_RUN, "yaml"): TAKEN,
    ("helm/README.md", "Every night by itself: the chart", "yaml"): VALUES,
    (
        "pipeline/events/README.md",
        "Checks",
        "yaml",
    ): "docs/test_clusters.py::test_checks_that_are_shown_are_taken",
    ("pipeline/events/README.md", "On Kubernetes", "yaml"): VALUES,
}
"""(page, heading, language) of what is no command → the test that runs it."""

WAYS: dict[str, Way] = {
    # README.md, CONTRIBUTING.md
    "make demo": CI,
    "make test": CI,
    "make check": CI,
    "make test-long": CI,
    "make check-cloud": CI,
    "make test-full": Way("faults/test_matrix.py::test_every_fault_has_one_row", HOUR),
    ".venv/bin/python -m pipeline.run configs/earth-search.yaml --dry-run": TILE,
    ".venv/bin/python -m pipeline.run configs/earth-search.yaml": TILE,
    "groundswell browse demo-output": Way(
        "browse/test_verb.py::test_the_command_serves_until_it_is_interrupted", "on a free port, over a smaller output"
    ),
    # configs
    "python -m pipeline.run configs/demo.yaml --dry-run": CONFIGS,
    "python -m pipeline.run configs/demo.yaml --set products.sentinel2.mask.dilate_px=5 --dry-run": CONFIGS,
    "groundswell explain configs/demo.yaml 33N-051-0971": CONFIGS,
    "groundswell schema > groundswell.schema.json": CONFIGS,
    ".venv/bin/python -m pipeline.run configs/argo.yaml --dry-run": FLOATS,
    ".venv/bin/python -m pipeline.run configs/argo.yaml": FLOATS,
    "make run-single FLOAT_ID=2902269": FLOATS,
    "make run-batch DAC=incois LIMIT=1000": FLOATS,
    "groundswell adopt configs/ttc_ard.yaml old-tiles --layout ttc --dry-run": ACROSS,
    "groundswell adopt configs/ttc_ard.yaml old-tiles --layout ttc": ACROSS,
    "groundswell explain configs/ttc_ard.yaml ttc_ard/1036X724Y/2021": ACROSS,
    "python -m pipeline.run configs/ttc_ard.yaml": ACROSS,
    # pipeline/events
    "python -m pipeline.demo": Way("demo/test_world.py::test_the_whole_world_is_small", "in a folder of its own"),
    "export LOCAL_S3_ROOT=.": EVENTS,
    "scene=S2A_33TTK_20240616_0_L2A": EVENTS,
    "groundswell event configs/events.yaml --events-file demo-world/s2/$scene/$scene.json": EVENTS,
    "mkdir -p arrivals && groundswell sweep configs/events.yaml --grace 0": EVENTS,
    "groundswell consume configs/events.yaml --once": EVENTS,
    "groundswell inbox configs/events.yaml": EVENTS,
    # cluster
    "groundswell cluster list my.yaml": Way(
        "verbs/test_cluster_pods.py::test_gc_ends_the_cluster_of_a_dead_driver", KUBERNETES
    ),
    "groundswell cluster gc my.yaml --dry-run": Way("verbs/test_cluster.py::test_gc_ends_only_what_it_is_told", COILED),
    "groundswell cluster gc my.yaml --run 20261121T173606123Z-ab12cd": Way(
        "verbs/test_cluster_pods.py::test_gc_ends_the_cluster_of_a_dead_driver", KUBERNETES
    ),
    "make PYTHON=python3.12 demo": Way(
        "docs/test_registry.py::test_targets_say_what_they_would_do", "CI has one Python"
    ),
    "aws s3 mb s3://my-states --region us-west-2": Way(
        "cloud/test_terraform.py::test_no_bucket_of_anybody_is_made_changed_or_removed", AWS
    ),
    "cd cluster/terraform/regions": CLUSTERS,
    "cp example.tfvars us-west-2.tfvars": CLUSTERS,
    "cd -": CLUSTERS,
    "make tf-init REGION=us-west-2 STATE_BUCKET=my-states": STEPS,
    "make tf-plan REGION=us-west-2": STEPS,
    "make tf-apply REGION=us-west-2": STEPS,
    "make tf-image REGION=us-west-2 DIGEST=sha256:…": STEPS,
    "make tf-outputs REGION=us-west-2": STEPS,
    "make tf-destroy REGION=us-west-2": STEPS,
    "make image": Way("cloud/test_steps.py::test_an_image_is_built_for_the_processor_that_runs_it", DOCKER),
    "make image-push REGION=us-west-2": Way(
        "cloud/test_steps.py::test_a_registrys_password_goes_to_that_registry_or_nowhere", AWS
    ),
    ".venv/bin/groundswell cluster render ferrara.yaml": CLUSTERS,
    ".venv/bin/python -m pipeline.run ferrara.yaml --dry-run": CLUSTERS,
    ".venv/bin/python -m pipeline.run ferrara.yaml": Way(
        "cluster/test_kubernetes.py::test_the_demo_on_two_clusters_makes_the_same_bytes_as_this_machine", KUBERNETES
    ),
    ".venv/bin/groundswell cluster list ferrara.yaml": Way(
        "verbs/test_cluster_pods.py::test_gc_ends_the_cluster_of_a_dead_driver", KUBERNETES
    ),
    ".venv/bin/coiled login": Way(
        "cluster/test_coiled_run.py::test_two_regions_on_coiled_make_the_same_bytes_as_this_machine", COILED
    ),
    ".venv/bin/coiled setup aws --region us-west-2": Way(
        "cluster/test_coiled_run.py::test_two_regions_on_coiled_make_the_same_bytes_as_this_machine", COILED
    ),
    # helm
    "helm upgrade --install nightly helm/groundswell --namespace groundswell --values nightly.yaml": Way(
        "helm/test_chart_runs.py::test_the_runner_makes_the_demo_on_its_release_and_finds_it_done_the_next_night",
        KUBERNETES,
    ),
    "kubectl -n groundswell create job --from=cronjob/nightly-runner nightly-by-hand": Way(
        "helm/test_chart_runs.py::test_the_runner_makes_the_demo_on_its_release_and_finds_it_done_the_next_night",
        KUBERNETES,
    ),
    "helm upgrade --install events helm/groundswell --namespace groundswell --values listener.yaml": Way(
        "helm/test_chart_listener.py::test_what_the_listener_took_outlives_its_pod", KUBERNETES
    ),
}
