"""What tests of first steps share: the command line run in this process."""

from __future__ import annotations

from tests.certificate.conftest import cli as cli
