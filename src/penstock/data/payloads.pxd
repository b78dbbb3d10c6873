cpdef Py_ssize_t payload_bytes(value) except -1
