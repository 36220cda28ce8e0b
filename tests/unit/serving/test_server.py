import pytest

from xmpress.serving.server import allow_many_connections

resource = pytest.importorskip("resource")


def test_silent_connections_do_not_use_up_the_usual_limit_of_files():
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before), most))
        allow_many_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
