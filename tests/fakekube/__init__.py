"""A stand-in for a Kubernetes cluster: its API, controllers, and a kubelet that runs pods as processes of this machine.

The real operator of dask-kubernetes, kr8s, kubectl and Helm talk to it unmodified. Roles bound to service accounts are
heeded, tests may do all; network policies hold between pods, as far as these are Python. Not there: quotas, the
horizontal autoscaler, mount and process namespaces, and images: every pod runs in this environment.
"""

from tests.fakekube.client import FakeKube, run_fakekube
from tests.fakekube.errors import ApiError

__all__ = ["ApiError", "FakeKube", "run_fakekube"]
