"""Personal data in text, by kind: found by shape and, where there is a check digit, by arithmetic."""

from fmf_core.personal.finding import KINDS as KINDS
from fmf_core.personal.finding import Finding as Finding
from fmf_core.personal.finding import detect_pii as detect_pii
from fmf_core.personal.finding import find_pii as find_pii
from fmf_core.personal.finding import redact_pii as redact_pii
