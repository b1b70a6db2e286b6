"""Calls on record: written to a file that people can review, and replayed without the model."""

from chatmodels.cassette.recording import RecordingModel as RecordingModel
from chatmodels.cassette.replay import ReplayModel as ReplayModel
