"""What the process that workers are copies of loads first, by this name: nothing else calls a function in it."""

from mutual.base.threads import settle

settle()
