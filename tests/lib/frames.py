"""Frames and packets that an application with CAP_NET_RAW makes by itself, and what arrives of them.

frames.py watch DEVICE COMMAND...
    run COMMAND with a socket, as descriptor 9, that gets whatever comes in by DEVICE
frames.py play DEVICE OWN TARGET NEIGHBOUR WORD [PART]
    send each row of rows() that has PART in its name by DEVICE, from the address OWN to TARGET by
    way of the Ethernet address NEIGHBOUR. What is right depends on WORD:
      free   nothing stands in the way: every frame must arrive, or the row would prove nothing
      none   everything must be stopped, also what passes otherwise
      gate   all rules, and the gate
      guard  all rules without the gate: only what comes by OUTPUT must be as with it

frames.py leave OWN TARGET KIND PORT
    send a datagram ("UDP") or a raw segment ("SYN", "FIN", "data") from port 20000, and be gone

A row is stopped if no frame arrives that has its two ports. Each has a source port of its own.
The rows "posed" and "ended" are played only if PART says so.
Prints a line for each row, and "WRONG: " before those that are not right.
"""

import mmap
import os
import socket
import struct
import sys
import time

IP, IP6, ARP, ALL, VLAN, SERVICE_VLAN, UNKNOWN = 0x800, 0x86DD, 0x806, 3, 0x8100, 0x88A8, 0x1234
ICMP, TCP, UDP, ICMP6, UDP_LITE = 1, 6, 17, 58, 136
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
FIN, SYN, RST, PSH, ACK, ECE, CWR = 1, 2, 4, 8, 16, 64, 128
SOL_PACKET, TX_RING, VNET_HDR, QDISC_BYPASS = 263, 13, 15, 20
IPV6_HDRINCL, IPV6_PKTINFO, IPV6_FREEBIND = 36, 50, 78
EXTRA = 9443  # as in the suite: one of EXTRA_PORTS
OTHER = 8080  # redirected by nobody
THIRD = 5353  # neither; OTHER_TRAFFIC=reject refuses it
WATCH = 9
MORE = 1  # more fragments follow


# --- packets


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packets:
    """Packets from one address to another."""

    def __init__(self, own, target):
        self.is_v6 = ":" in target
        self.family = socket.AF_INET6 if self.is_v6 else socket.AF_INET
        self.type = IP6 if self.is_v6 else IP
        self.own, self.target = (socket.inet_pton(self.family, address) for address in (own, target))
        self.source_port = 0

    def with_checksum(self, protocol, segment, at):
        pseudo = self.own + self.target + struct.pack("!II", len(segment), protocol)
        return segment[:at] + struct.pack("!H", checksum(pseudo + segment)) + segment[at + 2 :]

    def tcp(self, port, flags=SYN, data=b""):
        header = struct.pack("!HHIIBBHHH", self.source_port, port, 1000, 0, 5 << 4, flags, 65535, 0, 0)
        return self.with_checksum(TCP, header + data, 16)

    def udp(self, port, data=b"datagram"):
        header = struct.pack("!HHHH", self.source_port, port, 8 + len(data), 0)
        return self.with_checksum(UDP, header + data, 6)

    def packet(self, protocol, data, **fields):
        return self.ipv6(protocol, data) if self.is_v6 else self.ipv4(protocol, data, **fields)

    def ipv4(self, protocol, data, fragment=0, options=b"", length=None):
        words = 5 + len(options) // 4
        length = 4 * words + len(data) if length is None else length
        header = struct.pack("!BBHHHBBH", 4 << 4 | words, 0, length, self.source_port, fragment, 64, protocol, 0)
        header += self.own + self.target + options
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + data

    def ipv6(self, protocol, data, length=None):
        length = len(data) if length is None else length
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + self.own + self.target + data

    def piece(self, protocol, whole, start, end, more):
        """A fragment: the bytes of whole from start to end."""
        if self.is_v6:
            header = struct.pack("!BBHI", protocol, 0, start | more, self.source_port)
            return self.ipv6(FRAGMENT, header + whole[start:end])
        return self.ipv4(protocol, whole[start:end], fragment=start // 8 | more << 13)

    def pieces(self, protocol, whole, cut):
        return [self.piece(protocol, whole, 0, cut, MORE), self.piece(protocol, whole, cut, len(whole), 0)]


def padding(next_header):
    """An extension header of 8 bytes that says nothing (options)."""
    return struct.pack("!BBBB4s", next_header, 0, 1, 4, b"")


def routing(next_header):
    return struct.pack("!BBBBI", next_header, 0, 2, 0, 0)


def authentication(next_header):
    return struct.pack("!BBHII", next_header, 1, 0, 1, 1)


# --- ways to send


class Sender:
    def __init__(self, device, own, target, neighbour):
        self.device, self.address = device, target
        self.sockets = {}
        self.packets = Packets(own, target)
        self.own, self.posed = own, Packets(target, own)
        self.is_behind = own.startswith(("10.79.", "fd79:"))  # the pod forwards what it sends
        self.neighbour = bytes.fromhex(neighbour.replace(":", ""))
        with open("/sys/class/net/%s/address" % device) as file:
            self.mac = bytes.fromhex(file.read().strip().replace(":", ""))

    def ethernet(self, packet, *types):
        """An Ethernet frame; the types are those of tags (number 5), and the last what the packet is."""
        tags = b"".join(struct.pack("!HH", kind, 5) for kind in types[:-1])
        return self.neighbour + self.mac + tags + struct.pack("!H", types[-1]) + packet

    def frame(self, data, protocol=None, kind=socket.SOCK_RAW, options=()):
        """By AF_PACKET; protocol is what the kernel is told that it is."""
        protocol = self.packets.type if protocol is None else protocol
        destination = self.broadcast if protocol == ARP else self.neighbour
        self.packet_socket(kind, options).sendto(data, (self.device, protocol, 0, 0, destination))

    def packet_socket(self, kind, options):
        """One for all rows: when such a socket is closed, the kernel waits for every processor."""
        if (kind, options) not in self.sockets:
            sock = self.sockets[kind, options] = socket.socket(socket.AF_PACKET, kind, 0)
            for option in options:
                sock.setsockopt(SOL_PACKET, option, 1)
        return self.sockets[kind, options]

    broadcast = b"\xff" * 6

    def by_ring(self, data):
        """From memory that is shared with the kernel (packet_mmap)."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.setsockopt(SOL_PACKET, TX_RING, struct.pack("IIII", 4096, 1, 2048, 2))
            sock.bind((self.device, self.packets.type))
            with mmap.mmap(sock.fileno(), 4096) as ring:
                ring[32 : 32 + len(data)] = data
                ring[:16] = struct.pack("LII", 1, len(data), 0)
                sock.send(b"")

    def into_loopback(self, packet):
        """As if it came by lo: not by OUTPUT."""
        frame = bytes(12) + struct.pack("!H", self.packets.type) + packet
        self.packet_socket(socket.SOCK_RAW, ()).sendto(frame, ("lo", self.packets.type))

    def by_raw_socket(self, packet, address=None):
        """A whole packet, with its header, by a raw socket: it comes by OUTPUT."""
        with socket.socket(self.packets.family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            if self.packets.is_v6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
            sock.sendto(packet, (address or self.address, 0))

    def by_raw_protocol(self, protocol, data):
        """The kernel makes the header of IP, and the sender what is behind it."""
        with socket.socket(self.packets.family, socket.SOCK_RAW, protocol) as sock:
            sock.sendto(data, (self.address, 0))

    def by_udp(self, port, data=b"datagram"):
        with socket.socket(self.packets.family, socket.SOCK_DGRAM) as sock:
            sock.bind(("", self.packets.source_port))
            sock.sendto(data, (self.address, port))


# --- the rows: name, who must stop it, port, and how


def frame_rows(s):
    """By AF_PACKET. Stopped by the gate alone."""
    p = s.packets
    own, other = p.type, IP if p.is_v6 else IP6

    def raw(data):
        return s.ethernet(data, own)

    def syn(port=443, **more):
        return p.packet(TCP, p.tcp(port, **more))

    for port in (80, 443, EXTRA):
        yield "SYN to %d" % port, port, lambda port=port: s.frame(raw(syn(port)))
    for name, told in (("ETH_P_ALL", ALL), ("0", 0), ("0x1234", UNKNOWN), ("ARP", ARP), ("the other family", other)):
        yield "a frame that the kernel is told is " + name, 443, lambda told=told: s.frame(raw(syn()), told)
    for port in (443, EXTRA):
        yield "the header made by the kernel, to %d" % port, port, lambda port=port: s.frame(
            syn(port), kind=socket.SOCK_DGRAM
        )
    for name, told in (("ETH_P_ALL", ALL), ("0", 0), ("0x1234", UNKNOWN), ("the other family", other)):
        yield "the header made by the kernel, as " + name, 443, lambda told=told: s.frame(
            syn(), told, socket.SOCK_DGRAM
        )
    for name, tags in (("802.1Q", (VLAN,)), ("802.1ad", (SERVICE_VLAN,)), ("QinQ", (SERVICE_VLAN, VLAN))):
        for told in (tags[0], 0, ALL, own, ARP):
            yield "a tag of %s, called 0x%04x" % (name, told), 443, lambda tags=tags, told=told: s.frame(
                s.ethernet(syn(), *tags, own), told
            )
    yield "a length in place of a type", 443, lambda: s.frame(s.ethernet(syn(), len(syn())), own)
    yield "an unknown type, called IP", 443, lambda: s.frame(s.ethernet(syn(), UNKNOWN), own)
    yield "past the queue", 443, lambda: s.frame(raw(syn()), options=(QDISC_BYPASS,))
    yield "past the queue, to an extra port", EXTRA, lambda: s.frame(raw(syn(EXTRA)), options=(QDISC_BYPASS,))
    yield "from a ring", 443, lambda: s.by_ring(raw(syn()))
    yield "with a virtio header", 443, lambda: s.frame(bytes(10) + raw(syn()), options=(VNET_HDR,))
    yield "with a virtio header, past the queue", 443, lambda: s.frame(
        bytes(10) + raw(syn()), options=(VNET_HDR, QDISC_BYPASS)
    )


def loopback_rows(s):
    """What nat has redirected leaves so by the device that its socket is bound to."""

    def send():
        packets = Packets(s.own, "::1" if s.packets.is_v6 else "127.0.0.1")
        packets.source_port = s.packets.source_port
        s.frame(s.ethernet(packets.packet(TCP, packets.tcp(OTHER)), packets.type))

    yield "SYN to a loopback address", OTHER, send


def segment_rows(s):
    """What else TCP and UDP may be."""
    p = s.packets

    def raw(data):
        return s.ethernet(data, p.type)

    for port in (443, EXTRA):
        for name, flags, data in (
            ("SYN with ECE and CWR", SYN | ECE | CWR, b""),
            ("SYN with data", SYN, b"GET / HTTP/1.1\r\n\r\n"),
            ("SYN and FIN", SYN | FIN, b""),
            ("SYN and PSH", SYN | PSH, b""),
        ):
            yield "%s to %d" % (name, port), port, lambda port=port, flags=flags, data=data: s.frame(
                raw(p.packet(TCP, p.tcp(port, flags, data)))
            )
    for name, flags in (("ACK", ACK | PSH), ("FIN", FIN | ACK), ("RST", RST), ("SYN and ACK", SYN | ACK), ("no flag", 0)):
        yield "data in a segment without a connection: " + name, 443, lambda flags=flags: s.frame(
            raw(p.packet(TCP, p.tcp(443, flags, b"secret")))
        )
    for port in (80, 443, EXTRA):
        yield "UDP to %d" % port, port, lambda port=port: s.frame(raw(p.packet(UDP, p.udp(port))))


def short_rows(s):
    """Not even the flags of TCP are in the first fragment."""
    p = s.packets
    for port in (443, EXTRA):
        yield "TCP in fragments, the first of 8 bytes, to %d" % port, port, lambda port=port: [
            s.frame(s.ethernet(piece, p.type)) for piece in p.pieces(TCP, p.tcp(port), 8)
        ]


def tag_rows(s):
    """Tags that look like the beginning of another header than the one behind them. For long frames."""
    p = s.packets
    with open("/sys/class/net/%s/mtu" % s.device) as file:
        if int(file.read()) < 60000:
            return
    # What would be the protocol stands in the number of IPv4, and the flow of IPv6: UDP, and nothing.
    def tagged():
        if p.is_v6:
            packet, tag = p.ipv6(TCP, p.tcp(443, data=bytes(26000))), 0x6005
            packet = packet[:2] + bytes([59]) + packet[3:]
        else:
            packet, tag = p.ipv4(TCP, p.tcp(443, data=bytes(2100))), 0x4505
            packet = packet[:4] + bytes([0, UDP]) + packet[6:]
        s.frame(s.neighbour + s.mac + struct.pack("!HHH", VLAN, tag, p.type) + packet)

    yield "a tag that looks like a header", 443, tagged


def fragment_rows(s):
    p = s.packets

    def send(*packets):
        for packet in packets:
            s.frame(s.ethernet(packet, p.type))

    # A protocol's fragments have no ports but in the first: that is the one which may not arrive.
    for cut in (16, 24):
        yield "TCP in fragments, the first of %d bytes" % cut, 443, lambda cut=cut: send(
            *p.pieces(TCP, p.tcp(443, data=b"more than that"), cut)
        )
    yield "TCP in fragments, to an extra port", EXTRA, lambda: send(*p.pieces(TCP, p.tcp(EXTRA), 16))
    yield "TCP in fragments, the last first", 443, lambda: send(*reversed(p.pieces(TCP, p.tcp(443), 8)))
    yield "TCP, and a fragment that lies over its ports", 443, lambda: send(
        p.piece(TCP, p.tcp(OTHER), 0, 16, MORE), p.piece(TCP, p.tcp(443), 0, 8, MORE), p.piece(TCP, p.tcp(443), 16, 20, 0)
    )
    yield "UDP in fragments", 443, lambda: send(*p.pieces(UDP, p.udp(443, bytes(24)), 16))
    yield "UDP in fragments of 8 bytes", 443, lambda: send(*p.pieces(UDP, p.udp(443, bytes(24)), 8))
    yield "UDP, and a fragment that lies over its ports", 443, lambda: send(
        p.piece(UDP, p.udp(OTHER, bytes(24)), 0, 16, MORE),
        p.piece(UDP, p.udp(443, bytes(24)), 0, 16, MORE),
        p.piece(UDP, p.udp(443, bytes(24)), 16, 32, 0),
    )
    yield "a fragment that is whole", 443, lambda: send(p.piece(UDP, p.udp(443), 0, 16, 0))


def header_rows(s):
    """What may stand in and before the header of TCP."""
    p = s.packets

    def send(*packets):
        for packet in packets:
            s.frame(s.ethernet(packet, p.type))

    if not p.is_v6:
        yield "options", 443, lambda: send(p.ipv4(TCP, p.tcp(443), options=b"\x01" * 4))
        yield "40 bytes of options", 443, lambda: send(p.ipv4(TCP, p.tcp(443), options=b"\x01" * 40))
        # A device fills a frame up to 60 bytes, and then the length is right.
        yield "a length that is right when the device has filled the frame up", 443, lambda: send(
            p.ipv4(TCP, p.with_checksum(TCP, p.tcp(443) + bytes(6), 16)[:20], length=46)
        )
        yield "a length of 0", 443, lambda: send(p.ipv4(TCP, p.tcp(443), length=0))
        return
    chains = (
        ("hop-by-hop", [(HOP_BY_HOP, padding)]),
        ("destination options", [(OPTIONS, padding)]),
        ("routing", [(ROUTING, routing)]),
        ("five headers", [(HOP_BY_HOP, padding), *[(OPTIONS, padding)] * 2, (ROUTING, routing), (OPTIONS, padding)]),
    )
    for name, chain in chains:
        for protocol, data in ((TCP, p.tcp), (UDP, p.udp)):

            def chained(chain=chain, protocol=protocol, data=data):
                packet, following = data(443), protocol
                for number, header in reversed(chain):
                    packet, following = header(following) + packet, number
                send(p.ipv6(following, packet))

            yield "%s before %s" % (name, "TCP" if protocol == TCP else "UDP"), 443, chained
    for name, protocol, data in (("TCP", TCP, p.tcp), ("UDP", UDP, p.udp)):
        yield "%s in the second fragment, behind options" % name, 443, lambda protocol=protocol, data=data: send(
            *p.pieces(OPTIONS, padding(protocol) + data(443), 8)
        )
        yield "%s in the second fragment, behind options that go on there" % name, 443, (
            lambda protocol=protocol, data=data: send(
                *p.pieces(OPTIONS, struct.pack("!BBBB12s", protocol, 1, 1, 12, b"") + data(443), 8)
            )
        )
        yield "%s in the second fragment, behind two headers" % name, 443, lambda protocol=protocol, data=data: send(
            *p.pieces(OPTIONS, padding(OPTIONS) + padding(protocol) + data(443), 8)
        )
    # What the second says of itself, nobody heeds.
    yield "UDP in the second fragment, which lies about what it begins with", 443, lambda: send(
        p.piece(OPTIONS, padding(UDP) + p.udp(443), 0, 8, MORE), p.piece(UDP, padding(UDP) + p.udp(443), 8, 24, 0)
    )
    yield "a length that is too long", 443, lambda: send(p.ipv6(TCP, p.tcp(443), length=26))
    yield "a length of 0", 443, lambda: send(p.ipv6(TCP, p.tcp(443), length=0))


def raw_rows(s):
    """By raw sockets, which come by OUTPUT as well: by whom each is stopped."""
    p = s.packets
    for port in (80, 443, EXTRA):
        yield "a raw packet, SYN to %d" % port, port, lambda port=port: s.by_raw_socket(p.packet(TCP, p.tcp(port)))
        yield "a raw segment, SYN to %d" % port, port, lambda port=port: s.by_raw_protocol(TCP, p.tcp(port))
        yield "a raw packet, SYN and FIN to %d" % port, port, lambda port=port: s.by_raw_socket(
            p.packet(TCP, p.tcp(port, SYN | FIN))
        )
        yield "a raw packet, UDP to %d" % port, port, lambda port=port: s.by_raw_socket(p.packet(UDP, p.udp(port)))
    yield "a raw packet, SYN with ECE and CWR", 443, lambda: s.by_raw_socket(p.packet(TCP, p.tcp(443, SYN | ECE | CWR)))
    yield "a raw packet, SYN with data", 443, lambda: s.by_raw_socket(p.packet(TCP, p.tcp(443, data=b"secret")))
    yield "raw fragments of TCP", 443, lambda: [
        s.by_raw_socket(piece) for piece in p.pieces(TCP, p.tcp(443, data=bytes(20)), 24)
    ]
    yield "raw fragments of UDP", 443, lambda: [s.by_raw_socket(piece) for piece in p.pieces(UDP, p.udp(443), 8)]
    yield "UDP in fragments that the kernel makes", 443, lambda: s.by_udp(443, bytes(4000))
    if p.is_v6:
        yield "a raw packet with options before TCP", 443, lambda: s.by_raw_socket(
            p.ipv6(OPTIONS, padding(TCP) + p.tcp(443))
        )
    else:
        yield "a raw packet with options", 443, lambda: s.by_raw_socket(
            p.ipv4(TCP, p.tcp(443), options=b"\x01" * 4)
        )


def raw_data_rows(s):
    """Segments without a connection, which nat does not redirect."""
    p = s.packets
    for name, flags in (("ACK", ACK | PSH), ("FIN", FIN | ACK), ("RST", RST), ("no flag", 0)):
        yield "data in a raw segment: " + name, 443, lambda flags=flags: s.by_raw_socket(
            p.packet(TCP, p.tcp(443, flags, b"secret"))
        )
    # An ACK would be taken for one of a connection from before, and redirected.
    for name, flags in (("FIN", FIN | ACK), ("RST", RST), ("no flag", 0)):
        yield "data in a raw segment to %d: %s" % (EXTRA, name), EXTRA, lambda flags=flags: s.by_raw_socket(
            p.packet(TCP, p.tcp(EXTRA, flags, b"secret"))
        )
    # Connection tracking lets the first go, and keeps the others.
    yield "raw fragments, the first of 8 bytes", 443, lambda: [
        s.by_raw_socket(piece) for piece in p.pieces(TCP, p.tcp(443), 8)
    ]


def ended_rows(s):
    """What comes by a table is of no connection, at a port that clients of a server may have."""
    p = s.packets
    for name, flags in (("FIN", FIN | ACK), ("RST", RST), ("no flag", 0)):
        yield name, EXTRA, lambda flags=flags: s.frame(
            s.ethernet(p.packet(TCP, p.tcp(EXTRA, flags, b"secret")), p.type)
        )


def passing_rows(s):
    """What nobody may stop."""
    p = s.packets

    def raw(data):
        return s.ethernet(data, p.type)

    yield "SYN to another port", OTHER, lambda: s.frame(raw(p.packet(TCP, p.tcp(OTHER))))
    yield "SYN to another port, raw", OTHER, lambda: s.by_raw_socket(p.packet(TCP, p.tcp(OTHER)))
    yield "UDP to another port", OTHER, lambda: s.frame(raw(p.packet(UDP, p.udp(OTHER))))
    yield "UDP to another port by an ordinary socket", OTHER, lambda: s.by_udp(OTHER)
    yield "UDP to another port in fragments", OTHER, lambda: s.by_udp(OTHER, bytes(4000))
    yield "the last fragment of UDP to another port", None, lambda: s.by_udp(OTHER, bytes(4000) + mark(p))
    yield "UDP to another port in fragments by AF_PACKET", OTHER, lambda: [
        s.frame(raw(piece)) for piece in p.pieces(UDP, p.udp(OTHER, bytes(24)), 16)
    ]
    yield "a later fragment of UDP that begins as if it went to 443", 443, lambda: [
        s.frame(raw(piece))
        for piece in p.pieces(UDP, p.udp(OTHER, bytes(8) + struct.pack("!HH", p.source_port, 443) + bytes(12)), 16)
    ]
    # A server in the pod answers a client whose own port is one of EXTRA_PORTS.
    yield "an answer to a client at an extra port: SYN and ACK", EXTRA, lambda: s.frame(
        raw(p.packet(TCP, p.tcp(EXTRA, SYN | ACK)))
    )
    yield "an answer to a client at an extra port: data", EXTRA, lambda: s.frame(
        raw(p.packet(TCP, p.tcp(EXTRA, ACK | PSH, b"answer")))
    )
    yield "ping, in fragments", None, lambda: s.by_raw_protocol(ICMP6 if p.is_v6 else ICMP, echo(p))
    for name, protocol in (("AH", AUTHENTICATION), ("ESP", 50), ("GRE", 47)):
        yield "a protocol of its own: " + name, 443, lambda protocol=protocol: s.frame(
            raw(p.packet(protocol, authentication(TCP) + p.tcp(443)))
        )
    if p.is_v6:
        solicitation = struct.pack("!BBHI", 135, 0, 0, 0) + p.target
        yield "neighbour discovery", None, lambda: s.frame(
            raw(p.packet(ICMP6, p.with_checksum(ICMP6, solicitation + mark(p), 2)))
        )
        yield "DHCP", 547, lambda: s.frame(raw(p.packet(UDP, p.udp(547))))
        yield "options before UDP to another port", OTHER, lambda: s.frame(
            raw(p.ipv6(OPTIONS, padding(UDP) + p.udp(OTHER)))
        )
        return
    request = struct.pack("!HHBBH", 1, IP, 6, 4, 1) + s.mac + p.own + bytes(6) + p.target
    yield "ARP", None, lambda: s.frame(s.ethernet(request + mark(p), ARP), ARP)
    yield "ARP, the header made by the kernel", None, lambda: s.frame(request + mark(p), ARP, socket.SOCK_DGRAM)
    yield "DHCP", 67, lambda: s.frame(raw(p.packet(UDP, p.udp(67))))
    yield "DHCP, the header made by the kernel", 67, lambda: s.frame(p.packet(UDP, p.udp(67)), kind=socket.SOCK_DGRAM)
    yield "options before UDP to another port", OTHER, lambda: s.frame(
        raw(p.ipv4(UDP, p.udp(OTHER), options=b"\x01" * 4))
    )


def posed_rows(s):
    """The application makes what seems to come from TARGET, and then whoever answers to it, the
    application itself or the kernel, is an answer to connection tracking."""
    p, posed = s.packets, s.posed

    def forge(port, data):
        posed.source_port = port
        return posed.packet(UDP, posed.udp(p.source_port, data))

    def by_free_bind(port, protocol=UDP, device=None, by_message=False, to=None):
        with socket.socket(p.family, socket.SOCK_DGRAM, protocol) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            if device:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            data, destination = mark(p) * 8, (s.own, to or p.source_port)
            if by_message:
                sock.bind(("::", port))
                source = (socket.IPPROTO_IPV6, IPV6_PKTINFO, p.target + struct.pack("I", 0))
                sock.sendmsg([data], [source], 0, destination)
            else:
                sock.bind((s.address, port))
                sock.sendto(data, destination)

    def answer(port, pose, protocol=UDP):
        with socket.socket(p.family, socket.SOCK_DGRAM, protocol) as sock:
            sock.settimeout(0.1)
            sock.bind((s.own, p.source_port))
            try:
                pose()
                sock.recv(64)
            except OSError:
                pass
            sock.sendto(b"answer", (s.address, port))

    def ping():
        posed.source_port = p.source_port
        return posed.packet(ICMP6 if p.is_v6 else ICMP, echo(posed))

    def to_closed_port():
        posed.source_port = THIRD
        return posed.packet(UDP, posed.udp(9999, mark(p) * 8))

    def accept(port):
        with socket.create_server((s.own, p.source_port), family=p.family):
            posed.source_port = port
            s.into_loopback(posed.packet(TCP, posed.tcp(p.source_port)))
            time.sleep(0.05)

    def by_raw(packet):
        s.by_raw_socket(packet, s.own)

    if s.is_behind:
        for port in (80, 443):
            yield "by way of the pod, from %d" % port, port, lambda port=port: answer(
                port, lambda: s.frame(s.ethernet(forge(port, b"question"), p.type))
            )
        return
    for port in (443, THIRD):
        for name, way in (("a raw packet", by_raw), ("a frame for lo", s.into_loopback)):
            yield "%s, from %d" % (name, port), port, lambda port=port, way=way: answer(
                port, lambda: way(forge(port, b"question"))
            )
    for name, way in (("a raw packet", by_raw), ("a frame for lo", s.into_loopback)):
        yield "ping by " + name, None, lambda way=way: way(ping())
        yield "to a closed port by " + name, None, lambda way=way: way(to_closed_port())
    yield "SYN by a frame for lo", THIRD, lambda: accept(THIRD)
    if not p.is_v6:
        return
    for port in (443, THIRD):
        for name, more in (("", {}), (", at a device", {"device": b"eth0"}), (", by a message", {"by_message": True})):
            yield "a socket with IPV6_FREEBIND%s, from %d" % (name, port), port, lambda port=port, more=more: answer(
                port, lambda: by_free_bind(port, **more)
            )
    yield "UDP-Lite by a socket with IPV6_FREEBIND", THIRD, lambda: answer(
        THIRD, lambda: by_free_bind(THIRD, UDP_LITE), UDP_LITE
    )
    yield "to a closed port by a socket with IPV6_FREEBIND", None, lambda: by_free_bind(THIRD, to=9999)


def echo(packets):
    data = struct.pack("!BBHI", 128 if packets.is_v6 else 8, 0, 0, 0) + mark(packets) + bytes(4000)
    if packets.is_v6:
        return packets.with_checksum(ICMP6, data, 2)
    return data[:2] + struct.pack("!H", checksum(data)) + data[4:]


def mark(packets):
    """In place of ports, where there are none."""
    return struct.pack("!HH", packets.source_port, 0)


def rows(sender):
    for name, table in (
        ("frame", frame_rows),
        ("loopback", loopback_rows),
        ("segment", segment_rows),
        ("fragment", fragment_rows),
        ("short", short_rows),
        ("tag", tag_rows),
        ("header", header_rows),
        ("raw", raw_rows),
        ("raw data", raw_data_rows),
        ("passing", passing_rows),
        ("posed", posed_rows),
        ("ended", ended_rows),
    ):
        for row, port, send in table(sender):
            yield name, "%s: %s" % (name, row), port, send


# --- the play


def arrived(watch, pattern, fence):
    """How many frames with these bytes come before that with the fence's."""
    count = 0
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            frame = watch.recv(65536)
        except TimeoutError:
            break
        if fence in frame:
            return count
        count += pattern in frame
    raise SystemExit("WRONG: the watch hears nothing")


def expected(word, table):
    """Must something arrive? None: either is right."""
    if word == "none":
        return False
    if word == "free" or table == "passing":
        return True
    if table in ("raw", "raw data", "posed"):
        return False
    return word == "guard"


def play(device, own, target, neighbour, word, part=""):
    watch = socket.socket(fileno=WATCH)
    watch.settimeout(0.5)
    sender = Sender(device, own, target, neighbour)
    wrong = 0
    for number, (table, name, port, send) in enumerate(rows(sender)):
        if part not in name or (table in ("posed", "ended") and not part.startswith(table)):
            continue
        sender.packets.source_port = 20000 + number
        error = ""
        try:
            send()
        except OSError as failure:
            error = " (%s)" % failure.strerror
        fence = b"fence %d of %d" % (number, os.getpid())
        fence_by(sender, fence)
        ports = struct.pack("!HH", sender.packets.source_port, port or 0)
        came = arrived(watch, ports, fence)
        right = expected(word, table) in (came > 0, None)
        wrong += not right
        print("%s%s: %d arrived%s" % ("" if right else "WRONG: ", name, came, error))
    print("%d wrong" % wrong)


def fence_by(sender, fence):
    """By the same way as ordinary traffic, from a port that no row has."""
    with socket.socket(sender.packets.family, socket.SOCK_DGRAM) as sock:
        sock.sendto(fence, (sender.address, OTHER))


def leave(own, target, kind, port):
    sender = Sender("eth0", own, target, "")
    packets = sender.packets
    packets.source_port = 20000
    try:
        if kind == "UDP":
            sender.by_udp(int(port))
        else:
            flags = {"SYN": SYN, "FIN": FIN | ACK, "data": 0}[kind]
            sender.by_raw_socket(packets.packet(TCP, packets.tcp(int(port), flags, b"data")))
    except OSError as error:
        print(error)


def watch(device, command):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    sock.bind((device, ALL))
    os.dup2(sock.fileno(), WATCH, inheritable=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "leave":
        leave(*sys.argv[2:])
    else:
        play(*sys.argv[2:])
