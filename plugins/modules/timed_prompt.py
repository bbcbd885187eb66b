#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# The action plugin of the same name, on the controller, does all of it.

from __future__ import annotations

DOCUMENTATION = r"""
module: timed_prompt
short_description: Ask the person at the terminal, with a time limit
version_added: 0.9.0
description:
  - Shows a prompt on the terminal of the controller once for all hosts, and returns the answer.
  - Unlike M(ansible.builtin.pause), it returns the answer and also has a time limit. A play that nobody watches continues after that time.
options:
  prompt:
    description: The text to show.
    type: str
    required: true
  seconds:
    description: How long to wait for an answer, in seconds. The person ends the answer with the Enter key; text without it is not an
      answer.
    type: int
    default: 300
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
    details: It asks in check mode too, and changes nothing.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: none
    details: It asks each time.
seealso:
  - module: ansible.builtin.pause
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Ask whether to send the archives now
  infra_ops.log_archive.timed_prompt:
    prompt: Send the archives now? yes or no
    seconds: 120
  register: asked

- name: Stop unless the answer is yes
  ansible.builtin.meta: end_play
  when: asked.answer != 'yes'
"""

RETURN = r"""
answer:
  description: The answer, without leading and trailing spaces. V(null) if there is none.
  returned: success
  type: str
  sample: "yes"
reason:
  description: Why there is no answer; V(timeout), or V(no_terminal) if standard input is not a terminal. V(null) if there is an answer.
  returned: success
  type: str
  sample: timeout
"""
