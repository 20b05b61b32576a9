"""Run by every Python that a pod starts anew: it sees the network as the pod does."""

from tests.fakekube.inside import install

install()
