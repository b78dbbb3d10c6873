from penstock.data.message cimport Message

cdef object taken(end)
cdef bint has_ended(end) except -1
cdef bint offered(end, Message message) except -1
