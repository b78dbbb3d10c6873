"""The descriptor pool of the generated modules.

It is not the process's default one, in which a program's own copy of ``common.proto`` or of
the package ``remotemedia.v1`` would clash with ours.
"""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
