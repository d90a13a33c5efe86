"""The reading end of the journal: up to where it ended then, and within its time."""

from __future__ import annotations

import os
import sys

import pytest

from isoclient.drive.waiting import Deadline
from isoclient.mirror.mirrors import MIRRORED, ClientMirror
from isoclient.mirror.warns import pack_warning
from isoclient.process.journal_file import JournalFile
from isoclient.system.descriptors import Belongings
from isoclient.transit.codecs import PipeCodec
from isoclient.wire.journal import pack

WARNING = list(MIRRORED).index("warnings")


def journal_file() -> JournalFile:
    return JournalFile(lambda stdout, stderr, deadline: None, ClientMirror(fresh=False).replay, Belongings())


def test_records_that_are_not_replayed_in_time_at_the_end_are_left_out(
    recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = journal_file()
    payload = pack_warning(UserWarning("ripe"), __file__, 1, None, PipeCodec())
    os.write(journal.file.descriptor, pack(WARNING, payload) * 3)
    for _ in range(2):  # whoever asks for the death of an app comes by here, too
        journal.sync_at_the_end(Deadline(0))
    assert len(recwarn) == 1
    what = "log records, warnings and calls of mocks"
    left_out = f"(isoclient: {2 * len(payload)} bytes of the app's {what} are left out here, it was too much)\n"
    assert capsys.readouterr().err == left_out


def test_records_are_replayed_up_to_where_they_ended_then(recwarn: pytest.WarningsRecorder) -> None:
    journal = journal_file()
    entry = pack(WARNING, pack_warning(UserWarning("ripe"), __file__, 1, None, PipeCodec()))
    os.write(journal.file.descriptor, entry * 3)
    with pytest.MonkeyPatch.context() as patch:
        show = sys.modules["warnings"].showwarning

        def show_and_warn(*args: object) -> None:
            os.write(journal.file.descriptor, entry)
            show(*args)

        patch.setattr("warnings.showwarning", show_and_warn)
        journal.sync(journal.file.size, Deadline(60))
        assert len(recwarn) == 3
        journal.sync(journal.file.size, Deadline(0))
        assert len(recwarn) == 4
        journal.sync_at_the_end(Deadline(60))
    assert len(recwarn) == 4 + 3  # what was there then, and not what came of it
