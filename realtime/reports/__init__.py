"""HTML pages about sessions."""

import os
from pathlib import Path

try:
    Path.home()
except RuntimeError:
    # A user whom the system does not know, as in a container. Bokeh, which the modules of this
    # package import, ends with an error where there is no home folder at all.
    os.environ["HOME"] = os.sep
