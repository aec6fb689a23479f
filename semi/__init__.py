"""Few labels: classification and segmentation, each a pipeline of its own in its folder."""

from mutual.base.errors import run
from mutual.base.threads import settle

run(settle)  # here, since a library reads how many threads it may use when it loads
