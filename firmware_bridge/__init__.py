"""The firmware bridge: both ends of one wire between a host and a microcontroller (docs/wire.md).

`import edge_rnn.firmware_bridge` loads neither pyserial nor anything of the runtime but its errors and events.
"""

if __name__ != "edge_rnn.firmware_bridge":
    raise ImportError("import it as edge_rnn.firmware_bridge: the folder firmware_bridge/ is not a package of its own")
