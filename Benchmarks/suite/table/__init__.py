"""All lines, in the order of the results."""

from . import dropins, files, network, programs, queue, serve, trees

LINES = (queue.LINES + files.LINES + trees.LINES + files.BLOCKS + files.COLD + programs.MEMORY + network.LINES
         + serve.LINES + programs.START + dropins.LINES)
