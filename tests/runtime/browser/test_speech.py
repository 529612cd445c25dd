"""The playground for tasks that hear."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, FilePayload, expect

from tests.matrix.support.speech import make_ctc, make_labelled
from tests.runtime.browser.chromium import opened, take_screens
from tests.runtime.support.server import running

pytestmark = pytest.mark.torch


def sound() -> FilePayload:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * np.sin(np.arange(16_000) / 10), 16_000, format="WAV")
    return {"name": "tone.wav", "mimeType": "audio/wav", "buffer": buffer.getvalue()}


def test_file_is_transcribed(browser: Browser, tmp_path: Path) -> None:
    with running(make_ctc(tmp_path, "wav2vec2")) as server, opened(browser, server) as page:
        page.locator("input[type=file]").set_input_files(sound())
        expect(page.locator("audio")).to_be_visible()
        page.get_by_role("button", name="Transcribe").click()
        expect(page.locator("#numbers")).to_contain_text("speech 1.0 s")
        expect(page.locator(".headline")).to_be_visible()
        take_screens(page, "speech")


def test_recording_is_sent_as_sound_that_the_server_reads(browser: Browser, tmp_path: Path) -> None:
    with running(make_ctc(tmp_path, "wav2vec2")) as server, opened(browser, server) as page:
        page.get_by_role("button", name="Record").click()
        page.get_by_role("button", name="Stop recording").click()
        expect(page.locator("audio")).to_be_visible()
        page.get_by_role("button", name="Transcribe").click()
        expect(page.locator(".headline")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_sound_is_classified(browser: Browser, tmp_path: Path) -> None:
    with running(make_labelled(tmp_path, "wav2vec2")) as server, opened(browser, server) as page:
        page.locator("input[type=file]").set_input_files(sound())
        expect(page.locator("audio")).to_be_visible()
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".bar").first).to_be_visible()
        take_screens(page, "audio-classification")
