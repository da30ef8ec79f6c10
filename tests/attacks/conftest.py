"""What the attacks need before they begin."""

import os
import resource

import ground
import pytest
import wire


def pytest_collection_modifyitems(config, items):
    if config.pluginmanager.hasplugin("timeout"):
        for item in items:
            item.add_marker(pytest.mark.timeout(200))


def pytest_sessionstart(session):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for program in ("forge", "flood", "constant"):
        if not os.access(ground.PROGRAMS / program, os.X_OK):
            pytest.exit(f"no {ground.PROGRAMS / program}: run make attacks-programs", returncode=2)


@pytest.fixture(scope="session", autouse=True)
def namespace():
    if not wire.own_namespace():
        pytest.exit("needs root and a network namespace of its own: tests/netns", returncode=2)
