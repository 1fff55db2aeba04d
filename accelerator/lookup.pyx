# cython: language_level=3, boundscheck=False, wraparound=False
"""tables.lookup, compiled."""

from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject

from tables.lookup import ABSENT


def find(layers, list keys not None):
    """See tables.lookup.find."""
    cdef list each = [layer for layer in layers if layer], values = [None] * len(keys)
    cdef dict missing = {}, layer
    cdef PyObject *found
    cdef Py_ssize_t number
    for number in range(len(keys)):
        key = keys[number]
        for layer in each:
            found = PyDict_GetItem(layer, key)
            if found != NULL:
                values[number] = <object> found
                break
        else:
            values[number] = ABSENT
            missing[key] = None
    return values, list(missing)
