"""Endings of files that people read as text, and names whose last ending says nothing of what is inside."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

PLAIN: Final = (
    # notes, logs and lists
    "txt text asc nfo me 1st debian readme changelog license authors todo notes log lst list err out trace "
    # markup that is read as it is
    "adoc asciidoc bib bst bibtex cls sty ltx rnw ris enw nbib sgml dtd rng rdf owl ttl n3 nt texi textile mediawiki "
    "wiki docbook dbk dita ditamap xslt wsdl rss atom opml kml gpx xliff xlf tmx tbx resx xaml plist strings po pot "
    "ics vcf ldif lrc sbv ass ssa sub m3u m3u8 cue pls "
    # settings
    "ini cfg cnf conf config properties env rc service desktop inf reg editorconfig gitignore gitattributes htaccess "
    "dockerfile containerfile lock sum mod hcl tf tfvars nix bzl json5 jsonc hjson har webmanifest avsc "
    "sln csproj vbproj fsproj vcxproj props targets gemspec podspec "
    # programs
    "css scss sass less styl diff patch rej tmpl jinja j2 twig liquid mustache hbs ejs erb haml pug slim sh bash "
    "zsh fish csh ps1 psm1 psd1 bat cmd vbs awk sed tcl c h cc cpp cxx hh hpp hxx cs csx vb bas go java js jsx "
    "mjs cjs ts tsx mts cts vue svelte kt kts lua m mm pl pm php r rb rake rs scala sbt swift pyi pyx pxd ipy jl "
    "hs lhs ml mli ex exs erl hrl clj cljs edn lisp el scm rkt dart groovy gradle fs fsi fsx pas dpr f f90 f95 "
    "for asm s d zig nim v sv vhd vhdl sas sps do ado coffee cmake mk mak make proto graphql gql thrift asp aspx "
    "cshtml jsp"
)
"""Endings, in small letters, of what is plain text to its reader."""

DOUBTFUL: Final = frozenset({
    "asc", "cfg", "cls", "d", "err", "f", "for", "list", "lock", "lst", "m", "me", "mm", "mod", "out", "pl", "plist",
    "pls", "pm", "props", "r", "rc", "rej", "s", "strings", "sub", "sum", "sv", "ts", "v",
})  # fmt: skip
"""Those of them that binary files have, too: such files are of no known kind, not damaged text."""

_COPIES: Final = frozenset({"bak", "backup", "copy", "old", "orig", "prev", "sav", "save", "tmp"})
_LONGEST_NUMBER: Final = 8


def telling_name(name: str, known: Container[str]) -> str:
    """The name down to the ending that says what is inside: `a.log` for `a.log.1`, `a.md` for `a.md.bak` and `a.md~`.

    Args:
        name: the name of a file.
        known: the endings that say something; where there is none before the last, the name stays as it is.
    """
    if name.endswith("~"):
        return telling_name(name[:-1], known) if name[:-1] else name
    stem, _, last = name.rpartition(".")
    numbered = last.isascii() and last.isdecimal() and len(last) <= _LONGEST_NUMBER
    if not (numbered or last.lower() in _COPIES):
        return name
    before = stem.rpartition(".")
    return stem if before[0] and before[2].lower() in known else name
