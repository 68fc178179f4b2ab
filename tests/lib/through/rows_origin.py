"""Origins that are not there, and origins whose TLS is at fault."""

import asyncio
import ssl

import wire
from rows_http1 import GET
from table import BOTH, EVERY, ONE, TLS, Table, all_of, answers, asks, drain, within
from wire import Tls

TABLE = Table("origin")
add = TABLE.add


async def nobody(run, pipe, number):
    await drain(pipe)


def elsewhere(template):
    """An address that the origin does not serve."""

    def address(run):
        return template % (run.number >> 8, run.number & 255) if "%" in template else template

    return address


def dead(template, seconds=4):
    async def ask(run):
        address = elsewhere(template)(run) if template else run.address
        try:
            pipe = await asyncio.wait_for(run.tcp(address, run.port if template else run.port), seconds)
            run.see("connected")
            if run.row.transport.tls:
                pipe = await asyncio.wait_for(Tls(pipe, run.context(), False, run.name).handshake(), seconds)
                run.see("TLS")
            await pipe.send(GET.replace(b"HOST", run.host.encode()))
            data, end = await all_of(pipe, seconds)
            run.see("status", data.split(b"\r\n")[0].decode())
            run.see("end", end)
        except asyncio.TimeoutError:
            run.see("end", "silence")

    return ask


# Where these lead is in the suite.
for name, template in {"refuses connections": "198.19.0.1", "does not answer": "198.19.1.1", "cannot be reached (ICMP)": "198.19.2.1", "has no route in the pod": "198.19.3.1"}.items():
    add("an origin that " + name, ONE, dead(template), nobody, raw=True, limit=15)


def two_addresses(first):
    """As a client with happy eyeballs (RFC 8305): the IPv6 address first, IPv4 a bit later."""

    async def ask(run):
        six = asyncio.ensure_future(run.tcp(first))
        done, _ = await asyncio.wait({six}, timeout=0.3)
        pipe = None
        if done and not six.exception():
            pipe = six.result()
        else:
            pipe = await run.tcp()
            if not done:
                six.cancel()
                await asyncio.gather(six, return_exceptions=True)
        if run.row.transport.tls:
            pipe = await within(6, Tls(pipe, run.context(), False, run.name).handshake())
        if pipe == "nothing":
            run.see("end", "no handshake in 6 s")
            return
        http = await run.http(pipe)
        for _ in range(2):
            answer = await http.ask("GET")
            await answer.head()
            await answer.rest()

    return ask


add("AAAA that does not answer, and A that does", EVERY, two_addresses("2001:db8:dead::1"), answers(), found=True, limit=15)
add("AAAA that refuses, and A that does not", EVERY, two_addresses("2001:db8:18:ffff::1"), answers(), found=True, limit=15)
add("AAAA that cannot be reached, and A that can", EVERY, two_addresses("2001:db8:beef::1"), answers(), found=True, limit=15)

# TLS at fault: what the origin shows.


def certificate(name):
    return lambda stage: stage.server(name)


for name, file in {"has expired": "expired", "is of another name": "other-name", "is of an unknown CA": "unknown", "is self-signed": "self-signed", "is not valid yet": "early"}.items():
    add("a certificate that " + name, BOTH, asks(), answers(), context=certificate(file))


async def without_check(run):
    """As `curl -k`."""
    pipe = await run.connect(context=wire.client_context(run.trusted, ["http/1.1"], checked=False))
    http = await run.http(pipe)
    answer = await http.ask("GET")
    await answer.head()


add("an expired certificate, which the client does not check", TLS, without_check, answers(), context=certificate("expired"))


def made(change, name="wild.through.test"):
    """A server's context of its own."""

    def context(stage):
        one = wire.server_context("%s/%s" % (stage.pki, name), ["h2", "http/1.1"])
        change(one, stage)
        return one

    return context


def only(version, ciphers=None):
    def change(context, stage):
        context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)

    return made(change)


def client_only(version, ciphers=None):
    async def ask(run):
        context = run.context()
        context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        http = await run.http(await run.connect(context=context))
        answer = await http.ask("GET")
        await answer.head()
        await answer.rest()
        run.see("version", http.pipe.tls.version())

    return ask


add("TLS 1.2 alone at the origin", BOTH, asks(), answers(), context=only(ssl.TLSVersion.TLSv1_2))
add("TLS 1.3 alone at the origin", BOTH, asks(), answers(), context=only(ssl.TLSVersion.TLSv1_3))
add("TLS 1.0 alone at the origin", TLS, asks(), answers(), context=only(ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"))
add("TLS 1.0 alone at the origin, and the client takes it", TLS, client_only(ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"), answers(), context=only(ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"))
add("TLS 1.2 alone at the client", BOTH, client_only(ssl.TLSVersion.TLSv1_2), answers())
add("TLS 1.3 alone at the client", BOTH, client_only(ssl.TLSVersion.TLSv1_3), answers())
add("TLS 1.2 at the client, 1.3 at the origin", TLS, client_only(ssl.TLSVersion.TLSv1_2), answers(), context=only(ssl.TLSVersion.TLSv1_3))
add("a cipher that the client has not", TLS, client_only(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"), answers(), context=only(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"))


def hangs_up(data, then):
    """No TLS: after the ClientHello it says this, and ends."""

    async def serve(run, pipe, number):
        await pipe.receive()
        await pipe.send(data)
        if then == "stay":
            await drain(pipe)
        await asyncio.sleep(0.1)
        pipe.reset() if then == "reset" else pipe.cut()

    return serve


def alert(number):
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


for name, data in {"handshake_failure": alert(40), "unrecognized_name": alert(112), "internal_error": alert(80), "access_denied": alert(49)}.items():
    add("an origin that answers a ClientHello with %s" % name, TLS, asks(), hangs_up(data, "close"), raw=True)
add("an origin that answers a ClientHello with plain HTTP", TLS, asks(), hangs_up(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close"), raw=True)
add("an origin that closes after the ClientHello", BOTH, asks(), hangs_up(b"", "close"), raw=True)
add("an origin that resets after the ClientHello", BOTH, asks(), hangs_up(b"", "reset"), raw=True)
add("an origin that is silent after the ClientHello", TLS, asks(), hangs_up(b"", "stay"), raw=True, limit=6)


def wants_certificate(required):
    def change(context, stage):
        context.load_verify_locations(stage.pki + "/private-ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL

    return made(change)


async def shows_certificate(run):
    context = run.context()
    context.load_cert_chain(run.stage.pki + "/client.crt", run.stage.pki + "/client.key")
    http = await run.http(await run.connect(context=context))
    answer = await http.ask("GET")
    await answer.head()
    await answer.rest()


async def sees_certificate(run, exchange):
    run.saw("certificate", str(exchange.pipe.tls.getpeercert().get("subject")) if exchange.pipe.tls.getpeercert() else None)
    await exchange.answer(200, (), b"x")


for name, required in (("must be shown", True), ("may be shown", False)):
    add("a client's certificate that %s, shown" % name, TLS, shows_certificate, sees_certificate, context=wants_certificate(required))
    add("a client's certificate that %s, not shown" % name, BOTH, asks(), sees_certificate, context=wants_certificate(required))


# What the client says in its ClientHello.
def named(name, host=None):
    """A client that asks for a name of its own choice; the certificate is checked against that."""

    async def ask(run):
        tcp = await run.tcp()
        http = await run.http(await Tls(tcp, run.context(), False, name(run) if callable(name) else name).handshake())
        answer = await http.ask("GET", "/", [("Host", host(run) if callable(host) else host or run.host)])
        await answer.head()
        await answer.rest()

    return ask


async def notes_name(run, pipe, number):
    context = wire.server_context("%s/%s" % (run.stage.pki, "address" if not run.host.endswith("test") else "wild.through.test"), ["h2", "http/1.1"])
    context.sni_callback = lambda tls, asked, _: run.saw("SNI", asked)
    await run.serve_http(answers(), pipe, number, None, context)


async def no_sni(run):
    context = wire.client_context(run.trusted, run.row.transport.alpn, checked=False)
    context.verify_mode = ssl.CERT_REQUIRED
    tcp = await run.tcp()
    http = await run.http(await Tls(tcp, context, False, None).handshake())
    answer = await http.ask("GET", "/", [("Host", run.host)])
    await answer.head()
    await answer.rest()


add("no SNI", BOTH, no_sni, notes_name, raw=True)
add("a name in capitals", BOTH, named(lambda run: run.name.upper()), notes_name, raw=True)
add("SNI of one name, Host of another", BOTH, named(lambda run: run.name, "other.through.test"), notes_name, raw=True)
add("an internationalised name", BOTH, named("xn--bcher-kva.through.test", "xn--bcher-kva.through.test"), notes_name, raw=True)
add("a name of 63 letters", BOTH, named("x" * 63 + ".through.test", "x" * 63 + ".through.test"), notes_name, raw=True)


async def literal(run):
    """A client that has an address only: no SNI, and the certificate names the address."""
    context = wire.client_context(run.trusted, run.row.transport.alpn)
    context.hostname_checks_common_name = False
    host = "[%s]" % run.address if ":" in run.address else run.address
    pipe = await run.tcp()
    if run.row.transport.tls:
        pipe = await Tls(pipe, context, False, run.address).handshake()
    http = await run.http(pipe)
    answer = await http.ask("GET", "/", [("Host", host)])
    run.see("status", await answer.head())
    await answer.rest()
    # The two ways have an address each.
    for records in (run.records, *run.requests.values()):
        for record in records:
            record["fields"] = [(name, value.replace(run.address, "ADDRESS")) for name, value in record.get("fields", ())]
            record["line"] = record.get("line", "").replace(run.address, "ADDRESS")


async def serves_literal(run, pipe, number):
    await run.serve_http(answers(), pipe, number, None, wire.server_context("%s/address" % run.stage.pki, ["h2", "http/1.1"]))


add("an IPv4 address as host", EVERY, literal, serves_literal, raw=True, address=lambda n: "198.18.255.%d" % (n % 16))
add("an IPv6 address as host", EVERY, literal, serves_literal, raw=True, address=lambda n: "2001:db8:18::%d" % (n % 16))
