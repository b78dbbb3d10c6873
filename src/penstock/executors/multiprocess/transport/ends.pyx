"""What is done with the ends of lanes, without a look for their methods where they are these.

Any other ``ConsumerEnd`` or ``ProducerEnd``, as a lane within a process has them, is asked by name.
"""

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.receiver cimport LaneReceiver
from penstock.executors.multiprocess.transport.sender cimport LaneSender


cdef object taken(end):
    return (<LaneReceiver>end).take() if type(end) is LaneReceiver else end.take()


cdef bint has_ended(end) except -1:
    return (<LaneReceiver>end).ended if type(end) is LaneReceiver else end.ended


cdef bint offered(end, Message message) except -1:
    return (<LaneSender>end).offer(message) if type(end) is LaneSender else end.offer(message)
