"""A small framework for native Pulumi provider plugins on the stable wire contract (`ResourceProviderServicer`).

`wire` turns protobuf structs into Python values and back, `properties` declares and checks what a resource takes,
`resource` is what a platform's resource implements, `servicer` speaks the protocol, `serving` is the process around
it. Nothing here knows a platform. Pulumi's own `provider.experimental` is not used: it loses ids of partly created
resources, old inputs and qualified types (SDK 3.272).
"""
