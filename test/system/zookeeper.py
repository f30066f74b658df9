"""As much of ZooKeeper as Burrow needs to start: sessions, pings, and nodes that it may create.

Burrow keeps a lock there, whatever it watches; Ottla has no ZooKeeper, and a real one would need Java.
"""

import socketserver
import struct
import threading

CREATE, PING = 1, 11
NO_NODE = -101


class Session(socketserver.StreamRequestHandler):
    def frames(self):
        while size := self.rfile.read(4):
            yield self.rfile.read(struct.unpack(">i", size)[0])

    def answer(self, data):
        self.wfile.write(struct.pack(">i", len(data)) + data)

    def handle(self):
        frames = self.frames()
        timeout_ms = struct.unpack_from(">iqi", next(frames))[2]
        self.answer(struct.pack(">iiqi", 0, timeout_ms, 1, 16) + bytes(16))
        for zxid, frame in enumerate(frames, 1):
            xid, operation = struct.unpack_from(">ii", frame)
            error = 0 if operation in (CREATE, PING) else NO_NODE
            answer = struct.pack(">iqi", xid, zxid, error)
            if operation == CREATE:  # the path, as it was asked for
                size = struct.unpack_from(">i", frame, 8)[0]
                answer += frame[8:12 + size]
            self.answer(answer)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Session)
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
