"""Makes what the registries serve, as files: make.py DIRECTORY URL.

In each lies one package, egress-demo 1.0.0, whose text is "demo". URL is where the directory
will be seen.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

ROOT, URL = sys.argv[1:]
NAME, VERSION, TEXT = "egress-demo", "1.0.0", "demo\n"


def write(path, data):
    path = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def pypi():
    info = f"egress_demo-{VERSION}.dist-info"
    wheel = zipped(
        {
            "egress_demo.py": f"TEXT = {TEXT!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: make\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
    )
    file = f"egress_demo-{VERSION}-py3-none-any.whl"
    write(f"pypi/simple/{NAME}/{file}", wheel)
    write(
        f"pypi/simple/{NAME}/index.html",
        f'<!DOCTYPE html><html><body><a href="{file}#sha256={sha256(wheel)}">{file}</a></body></html>',
    )


def npm():
    package = {"name": NAME, "version": VERSION, "main": "index.js"}
    archive = tarred({"package/package.json": json.dumps(package), "package/index.js": f"module.exports = {TEXT!r}\n"})
    write(f"npm/{NAME}/-/{NAME}-{VERSION}.tgz", archive)
    dist = {
        "tarball": f"{URL}/npm/{NAME}/-/{NAME}-{VERSION}.tgz",
        "shasum": hashlib.sha1(archive).hexdigest(),
        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode(),
    }
    document = {
        "name": NAME,
        "dist-tags": {"latest": VERSION},
        "versions": {VERSION: {**package, "dist": dist}},
        "time": {VERSION: "2024-01-01T00:00:00.000Z", "modified": "2024-01-01T00:00:00.000Z"},
    }
    write(f"npm/{NAME}/index.json", json.dumps(document))


def crates():
    manifest = f'[package]\nname = "{NAME}"\nversion = "{VERSION}"\nedition = "2021"\n'
    top = f"{NAME}-{VERSION}"
    crate = tarred({f"{top}/Cargo.toml": manifest, f"{top}/src/lib.rs": f"pub const TEXT: &str = {json.dumps(TEXT)};\n"})
    write(f"crates/files/{NAME}/{VERSION}/download", crate)
    write("crates/config.json", json.dumps({"dl": f"{URL}/crates/files"}))
    line = {"name": NAME, "vers": VERSION, "deps": [], "cksum": sha256(crate), "features": {}, "yanked": False}
    write(f"crates/eg/re/{NAME}", json.dumps(line) + "\n")


def go():
    module, version = "example.test/demo", "v" + VERSION
    info = {"Version": version, "Time": "2024-01-01T00:00:00Z"}
    manifest = f"module {module}\n"
    write(f"go/{module}/@v/list", version + "\n")
    write(f"go/{module}/@latest", json.dumps(info))
    write(f"go/{module}/@v/{version}.info", json.dumps(info))
    write(f"go/{module}/@v/{version}.mod", manifest)
    write(
        f"go/{module}/@v/{version}.zip",
        zipped({f"{module}@{version}/go.mod": manifest, f"{module}@{version}/demo.go": "package demo\n"}),
    )


def maven():
    """A parent, which Maven needs without any plugin."""
    pom = (
        "<project><modelVersion>4.0.0</modelVersion><groupId>test.example</groupId>"
        f"<artifactId>{NAME}</artifactId><version>{VERSION}</version><packaging>pom</packaging></project>"
    )
    path = f"maven/test/example/{NAME}/{VERSION}/{NAME}-{VERSION}.pom"
    write(path, pom)
    write(path + ".sha1", hashlib.sha1(pom.encode()).hexdigest())


def apt():
    tree = os.path.join(ROOT, "package")
    control = f"Package: {NAME}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: nobody <nobody@example.test>\nDescription: demo\n"
    write("package/DEBIAN/control", control)
    os.makedirs(os.path.join(ROOT, "apt/pool"))
    run("dpkg-deb", "--root-owner-group", "--build", "package", f"apt/pool/{NAME}.deb", cwd=ROOT)
    shutil.rmtree(tree)
    with open(os.path.join(ROOT, f"apt/pool/{NAME}.deb"), "rb") as file:
        package = file.read()
    packages = control + f"Filename: pool/{NAME}.deb\nSize: {len(package)}\nSHA256: {sha256(package)}\n"
    write("apt/Packages", packages)
    write("apt/Packages.gz", gzip.compress(packages.encode()))


def gems():
    write("gems/egress_demo.rb", f"TEXT = {TEXT!r}\n")
    write(
        "gems/demo.gemspec",
        f"Gem::Specification.new {{ |s| s.name = {NAME!r}; s.version = {VERSION!r}; s.summary = 'demo'; "
        "s.authors = ['nobody']; s.files = ['egress_demo.rb']; s.require_paths = ['.'] }",
    )
    directory = os.path.join(ROOT, "gems")
    os.makedirs(os.path.join(directory, "gems"))
    environment = {**os.environ, "HOME": ROOT}
    subprocess.run(
        ["gem", "build", "--silent", "demo.gemspec", "-o", f"gems/{NAME}-{VERSION}.gem"],
        cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    with open(os.path.join(directory, "gems", f"{NAME}-{VERSION}.gem"), "rb") as file:
        gem = file.read()
    info = f"---\n{VERSION} |checksum:{sha256(gem)}\n"
    write(f"gems/info/{NAME}", info)
    write("gems/versions", f"created_at: 2024-01-01T00:00:00Z\n---\n{NAME} {VERSION} {hashlib.md5(info.encode()).hexdigest()}\n")
    write("gems/names", f"---\n{NAME}\n")
    program = """
      spec = Gem::Package.new(ARGV[1]).spec
      tuple = [[spec.name, spec.version, 'ruby']]
      %w[specs latest_specs prerelease_specs].each do |name|
        data = Marshal.dump(name.start_with?('pre') ? [] : tuple)
        File.binwrite(File.join(ARGV[0], "#{name}.4.8.gz"), Gem::Util.gzip(data))
      end
      Dir.mkdir(File.join(ARGV[0], 'quick')); Dir.mkdir(File.join(ARGV[0], 'quick/Marshal.4.8'))
      File.binwrite(File.join(ARGV[0], "quick/Marshal.4.8/#{spec.full_name}.gemspec.rz"), Zlib::Deflate.deflate(Marshal.dump(spec)))
    """
    run("ruby", "-rrubygems/package", "-rrubygems/util", "-rzlib", "-e", program, directory, f"gems/gems/{NAME}-{VERSION}.gem", cwd=ROOT)


def git():
    write("work/demo.txt", TEXT)
    work = os.path.join(ROOT, "work")
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.test")
    run("git", "init", "-q", "-b", "main", cwd=work)
    run("git", "add", ".", cwd=work)
    run("git", *identity, "commit", "-q", "-m", "demo", cwd=work)
    os.makedirs(os.path.join(ROOT, "git"))
    run("git", "clone", "-q", "--bare", work, "git/demo.git", cwd=ROOT)
    run("git", "update-server-info", cwd=os.path.join(ROOT, "git/demo.git"))
    shutil.rmtree(work)


def containers():
    layer = tarred({"demo.txt": TEXT})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(gzip.decompress(layer))]},
        }
    ).encode()
    kinds = {
        "config": ("application/vnd.oci.image.config.v1+json", config),
        "layer": ("application/vnd.oci.image.layer.v1.tar+gzip", layer),
    }
    described = {}
    for what, (kind, data) in kinds.items():
        write(f"v2/demo/blobs/sha256:{sha256(data)}", data)
        described[what] = {"mediaType": kind, "digest": "sha256:" + sha256(data), "size": len(data)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described["config"],
        "layers": [described["layer"]],
    }
    data = json.dumps(manifest)
    for reference in (VERSION, "sha256:" + sha256(data.encode())):
        write(f"v2/demo/manifests/{reference}", data)
    write("v2/index.json", "{}")


for registry in (pypi, npm, crates, go, maven, apt, gems, git, containers):
    registry()
