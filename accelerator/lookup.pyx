# cython: language_level=3, boundscheck=False, wraparound=False
"""tables.lookup, compiled."""

from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject


def find(layers, keys):
    """See tables.lookup.find."""
    cdef list each = [layer for layer in layers if layer], missing = []
    cdef dict values = {}, layer
    cdef PyObject *found
    for key in keys:
        for layer in each:
            found = PyDict_GetItem(layer, key)
            if found != NULL:
                PyDict_SetItem(values, key, <object> found)
                break
        else:
            missing.append(key)
    return values, missing
