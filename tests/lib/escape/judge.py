"""Compares what rows.py did with what the origins took and the addon recorder.py saw.

Usage: judge.py RESULTS LOGS SEEN, the results, the directory of the origins' logs (*.jsonl), the
recorder's. Prints a line for each row, each wrong variant and whatever came to an origin without
having been seen as it came. Status 1 if anything is wrong.
"""

import collections
import glob
import json
import re
import sys

MOST_SHOWN = 6
# What may differ from one hop to the next, and what addons add behind the recorder.
HOPS = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "te", "upgrade"}
HOPS |= {"trailer", "expect", "x-seen", "x-opensandbox-egress", "host"}
REFUSED = re.compile(r"closed|no h2|[45]\d\d")


def read(path):
    try:
        with open(path, "rb") as file:
            return [json.loads(line.decode("utf-8", "replace")) for line in file if line.strip()]
    except FileNotFoundError:
        return []


def values(headers, name):
    return [value for field, value in headers if field.lower() == name]


def plain(text):
    """Bytes above ASCII are written down in as many ways as there are origins."""
    return re.sub(r"[^\0-\x7f]+", "?", text)


class Judge:
    def __init__(self, results, origins, seen):
        self.results = results
        self.taken = origins
        self.seen = {line["id"]: line for line in seen if line["hook"] == "request"}
        self.wrong = collections.OrderedDict()
        self.rows = collections.OrderedDict()
        for result in results:
            self.rows.setdefault(result["name"], []).append(result)
        self.by_path = {result["path"]: result for result in results}

    def fault(self, name, text):
        self.wrong.setdefault(name, []).append(text)

    def row_of(self, target):
        """The result whose path is in a target, as it is or with something behind it."""
        target = target or ""
        if target in self.by_path:
            return self.by_path[target]
        best = None
        for path, result in self.by_path.items():
            if path in target and (best is None or len(path) > len(best["path"])):
                best = result
        return best

    def took(self, line):
        """What is wrong with a request that an origin took."""
        if re.search(r"^/(refuse|raise)-request", line["target"]):
            yield "it was refused"
        ids = values(line["headers"], "x-seen")
        if len(ids) != 1 or ids[0] not in self.seen:
            yield f"no addon saw it (X-Seen: {ids})"
            return
        saw = self.seen[ids[0]]
        self.ids[ids[0]] += 1
        if self.ids[ids[0]] > 1:
            yield f"came {self.ids[ids[0]]} times, and was seen once"
        http2 = line["version"] == "HTTP/2.0"
        if saw["method"] != line["method"]:
            yield f"method {line['method']!r} was seen as {saw['method']!r}"
        whole = f"{saw['scheme']}://{saw['authority']}{saw['path']}"
        if plain(line["target"]) not in (plain(saw["path"]), plain(whole)):
            yield f"target {line['target']!r} was seen as {saw['path']!r}"
        if saw["version"] != line["version"]:
            yield f"{line['version']} was {saw['version']} when it was seen"
        host = values(line["headers"], ":authority") if http2 and values(line["headers"], ":authority") else values(line["headers"], "host")
        known = values(saw["headers"], "host") + [saw["authority"]]
        if any(one not in known for one in host if one):
            yield f"host {host} was seen as {known}"
        # In HTTP/2 some origins show the authority as a Host as well.
        if len(set(host) if http2 else host) > 1:
            yield f"several hosts: {host}"
        if line.get("sha256") and line.get("complete") and saw["sha256"] and not saw["streamed"]:
            if saw["sha256"] != line["sha256"]:
                yield f"a body of {line['length']} bytes was seen as one of {saw['length']}"
        # What addons shall have read of it: the origin's bytes, or what the row says by a sum.
        if content := re.match("/content-([0-9a-f]+|raw)/", line["target"]):
            if saw["read"] is None or not saw["read"].startswith(content[1].replace("raw", line["sha256"])):
                yield f"a body of {line['length']} bytes was read as something else"
        egress = values([(field.replace("_", "-"), value) for field, value in line["headers"]], "x-opensandbox-egress")
        if egress != ["1"]:
            yield f"X-OpenSandbox-Egress is {egress}"
        for value in values(line["headers"], "transfer-encoding"):
            if value != "chunked":  # not every server knows another spelling
                yield f"Transfer-Encoding is {value!r}"
        for value in values(line["headers"], "connection"):
            if re.search(r"x-seen|x-opensandbox-egress", value, re.I):
                yield f"Connection names our header: {value!r}"
        if line["origin"] in ("raw", "none", "retry", "banner", "good", "node", "go"):
            own = {(field.lower(), plain(value.strip())) for field, value in saw["headers"]}
            for name, value in line["headers"]:
                name = name.lower()
                if name in HOPS or name.startswith(":") or (name, plain(value.strip())) in own:
                    continue
                yield f"header {name!r}: {value[:60]!r} was not seen so"

    def judge_origins(self):
        self.ids = collections.Counter()
        self.reached = collections.Counter()
        for line in self.taken:
            family = "IPv6" if line["client"].count(":") > 1 else "IPv4"
            if "raw" in line:
                if self.expects_raw(line):
                    continue
                self.fault("at an origin", f"{line['conn']} over {family}: {line['count']} bytes, {line['what']}: {line['raw'][:100]!r}")
                continue
            # nginx writes down what it refuses as well, with what it had read until then.
            if line.get("status", "200") != "200":
                continue
            result = self.row_of(line["target"])
            name = result["name"] if result else "at an origin"
            where = f"{result['variant']}: " if result else ""
            if result:
                self.reached[result["path"]] += 1
                if family != result["family"]:
                    self.fault(name, f"{where}{line['origin']} took it over {family}")
                if result["expect"] == "passed":
                    continue
            for text in self.took(line):
                self.fault(name, f"{where}{line['origin']} took {line['method']} {line['target'][:90]!r}: {text}")
            if result and result["sha256"] and line.get("sha256") != result["sha256"] and line.get("sha256"):
                self.fault(name, f"{where}{line['origin']} took another body, of {line['length']} bytes")

    def expects_raw(self, line):
        if any(result["expect"] == "raw" for result in self.results) and line["what"] in ("no HTTP", "left over"):
            return True
        # To an origin that shows only too late that it speaks nothing but HTTP/2.
        if line["what"] == "no HTTP/2":
            return self.is_seen_request(line["raw"])
        # The proxy's own end of a WebSocket that is none.
        return line["what"] != "no HTTP" and line["raw"].startswith("\x88")

    def is_seen_request(self, raw):
        """A request of HTTP/1.1, as the addons have seen it."""
        ids = re.findall(r"\r\nX-Seen: (\S+)\r\n", raw)
        saw = self.seen.get(ids[0]) if len(ids) == 1 else None
        return saw is not None and raw.startswith(f"{saw['method']} {saw['path']} HTTP/1.1\r\n")

    def judge_rows(self):
        for result in self.results:
            expect, outcomes = result["expect"], result["outcomes"]
            refused = any(REFUSED.fullmatch(what) for what in outcomes)
            answered = all(what == "200" for what in outcomes)
            right = {
                "ok": answered,
                "refused": refused,
                "any": answered or refused,
                "quiet": "200" not in outcomes and "raw" not in outcomes and "tunnel" not in outcomes,
                "held": "tunnel" not in outcomes,
                "raw": outcomes == ["raw"],
                "passed": outcomes == ["200"],
            }.get(expect)
            if right is None:
                right = outcomes[0] == expect or outcomes[0] == "no h2"
            if any(what in ("broken row", "not retried", "foreign certificate") for what in outcomes):
                right = False
            if not right:
                self.fault(result["name"], f"{result['variant']}: expected {expect}, but: {result['shown']}")
            if expect in ("refused", "quiet") or expect.isdigit():
                if self.reached[result["path"]]:
                    self.fault(result["name"], f"{result['variant']}: expected {expect}, but an origin took it")
            elif expect in ("ok", "passed") and right and not self.reached[result["path"]]:
                self.fault(result["name"], f"{result['variant']}: answered, but no origin took it")

    def report(self):
        for name, results in self.rows.items():
            count = collections.Counter(what for result in results for what in result["outcomes"])
            outcomes = ", ".join(f"{what} {number}" for what, number in count.most_common())
            slowest = max(result["seconds"] for result in results)
            verdict = "WRONG" if name in self.wrong else "right"
            print(f"{verdict}: {results[0]['kind']} {name}: {len(results)} ({outcomes}; slowest {slowest} s)")
            self.details(name)
        for name in self.wrong:
            if name not in self.rows:
                print(f"WRONG: {name}")
                self.details(name)
        return sum(len(texts) for texts in self.wrong.values())

    def details(self, name):
        texts = self.wrong.get(name, [])
        for text in texts[:MOST_SHOWN]:
            print(f"  {text}")
        if len(texts) > MOST_SHOWN:
            print(f"  ... and {len(texts) - MOST_SHOWN} more")


results, logs, seen = sys.argv[1:]
taken = [line for path in sorted(glob.glob(f"{logs}/*.jsonl")) for line in read(path)]
judge = Judge(read(results), taken, read(seen))
judge.judge_origins()
judge.judge_rows()
wrong = judge.report()
print(f"{len(judge.results)} variants of {len(judge.rows)} rows, {len(taken)} requests at origins, {wrong} wrong")
sys.exit(1 if wrong or not judge.results else 0)
