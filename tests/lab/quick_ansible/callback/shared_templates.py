# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let the runs of ansible-playbook in one test session share compiled templates, and do once what Ansible does for each task.

Ansible forks a worker process for each task on each host, and each worker compiles the templates of all variables that its task uses: that
took a third of a worker's time. Here a template is compiled once. The compiled code depends on its source and on the settings of the
environment alone, because Ansible turns Jinja's optimizer off: no value is in it.

To find a filter of a collection, Ansible imports all filters of the collection in each worker. Here they are imported before.

The lookup ansible.builtin.template copies all variables, in depth, to add a few. Here it copies the dictionary alone.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import hashlib
import marshal
import os
import sys
import typing as t

import jinja2
from ansible import __version__, constants
from ansible._internal._templating import _jinja_bits
from ansible.plugins import loader
from ansible.plugins.callback import CallbackBase
from jinja2.environment import TemplateExpression

DOCUMENTATION = """
name: shared_templates
type: aggregate
short_description: Share compiled templates between runs
description: For tests. E(LOG_ARCHIVE_SHARED_MODULES) is the folder.
"""

Environment = _jinja_bits.AnsibleEnvironment
# Every setting that the compiled code depends on.
SETTINGS = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix", "line_comment_prefix"),
    *("trim_blocks", "lstrip_blocks", "newline_sequence", "keep_trailing_newline"),
)
# The plugins that most templates use: with the first filter, those of the whole collection are imported.
PLUGINS = {
    loader.filter_loader: ("ansible.builtin.combine", "infra_ops.log_archive.sftp_account"),
    loader.test_loader: ("ansible.builtin.match",),
}


class Compiled:
    """The code of templates by source and settings, in memory and in a folder that all runs use."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.known: t.Dict[str, t.Any] = {}

    def get(self, environment: Environment, kind: str, source: str, compile_it: t.Callable[[], t.Any]) -> t.Any:
        """The code of a template, or of what compile_it returns, an expression."""
        context = _jinja_bits._TemplateCompileContext.current(optional=True)
        settings = [getattr(environment, name) for name in SETTINGS]
        described = repr((kind, str(source), context and context.escape_backslashes, sorted(environment.extensions), settings))
        name = hashlib.sha256(described.encode("utf-8", "surrogatepass")).hexdigest()
        path = os.path.join(self.folder, name)
        if name not in self.known and os.path.exists(path):
            with open(path, "rb") as file:
                self.known[name] = marshal.load(file)
        if name not in self.known:
            # Outside of any handler: Ansible prints the context of an error.
            self.known[name] = compile_it()
            with open("%s.%d" % (path, os.getpid()), "wb") as file:
                marshal.dump(self.known[name], file)
            os.rename(file.name, path)
        return self.known[name]


def share_templates(folder: str) -> None:
    """Let the environments of Ansible take compiled templates from the folder, and add those that are missing."""
    compiled = Compiled(folder)
    compile_template, compile_expression = Environment.compile, Environment.compile_expression

    def from_source(self: Environment, source: t.Any, name: t.Any = None, filename: t.Any = None, *options: t.Any, **more: t.Any) -> t.Any:
        def compile_it() -> t.Any:
            return compile_template(self, source, name, filename, *options, **more)

        # An expression comes parsed; a file has a name, and errors state its lines.
        if not isinstance(source, str) or name or filename or options or more:
            return compile_it()
        return compiled.get(self, "template", source, compile_it)

    def from_expression(self: Environment, source: str, undefined_to_none: bool = True) -> t.Any:
        made: t.List[t.Any] = []

        def compile_it() -> t.Any:
            with _kept(self, made):
                compile_expression(self, source, undefined_to_none)
            return made[0]

        code = compiled.get(self, "expression", source, compile_it)
        return TemplateExpression(self.template_class.from_code(self, code, self.make_globals(None), None), undefined_to_none)

    Environment.compile = from_source
    Environment.compile_expression = from_expression


@contextlib.contextmanager
def _kept(environment: Environment, codes: t.List[t.Any]) -> t.Iterator[None]:
    """Add the code that this environment compiles meanwhile."""
    compile_it = environment.compile

    def keep(*arguments: t.Any, **options: t.Any) -> t.Any:
        codes.append(compile_it(*arguments, **options))
        return codes[-1]

    environment.compile = keep
    try:
        yield
    finally:
        del environment.compile


def find_plugins_once() -> None:
    """Keep the filters and tests that were found, and find some before there are workers."""
    find = loader.Jinja2Loader.get_with_context
    found: t.Dict[t.Tuple[str, str], t.Any] = {}

    def get_with_context(self: t.Any, name: str, *arguments: t.Any, **options: t.Any) -> t.Any:
        if (self.type, name) not in found:
            found[self.type, name] = find(self, name, *arguments, **options)
        return found[self.type, name]

    loader.Jinja2Loader.get_with_context = get_with_context
    for plugins, names in PLUGINS.items():
        for name in names:
            # A run may have no collections at all.
            with contextlib.suppress(KeyError):
                plugins.get(name)


def copy_variables_once() -> None:
    """Let the lookup of templates copy the dictionary of all variables, but not what is in it."""
    lookup = loader.lookup_loader.get("ansible.builtin.template", class_only=True)
    module = sys.modules[lookup.__module__]
    if module.deepcopy is copy.deepcopy:
        module.deepcopy = copy.copy


class CallbackModule(CallbackBase):
    """Changes this process before the first task: the workers are copies of it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "shared_templates"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        belongs_to = repr((__version__, jinja2.__version__, sys.version, constants.COLLECTIONS_PATHS))
        folder = os.path.join(os.environ["LOG_ARCHIVE_SHARED_MODULES"], "templates-" + hashlib.sha256(belongs_to.encode()).hexdigest()[:16])
        os.makedirs(folder, exist_ok=True)
        share_templates(folder)
        find_plugins_once()
        copy_variables_once()
        # As in shared_modules: workers do not look for garbage in this.
        gc.freeze()
