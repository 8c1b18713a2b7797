"""Bills of materials: what is in them, and that they follow the standards, by the standards' libraries."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import specimen
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from smallproject import Small
from spdx_tools.spdx.model.relationship import RelationshipType
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from recipes import plan as plans
from recipes import project, toolchain
from recipes.conda.lockfile import CondaPackage
from recipes.derivations import CondaPrefix
from recipes.evidence import cyclonedx, inventory, naming, parts, provenance, spdx
from recipes.evidence.parts import Parts
from recipes.evidence.provenance import Known
from recipes.origins import DebianOrigin, GitOrigin, Origin, PypiOrigin, UrlOrigin
from recipes.plan import Plan, SourceTree
from recipes.tree import Filter

COMMIT, TREE = "4987f20d48c22694d84bbffa839168596ea027ae", "c92cd93f30dc6c10701522d6930d09c67e447a54"
DIGEST = "ab" * 32
QUOTED = "https://example.com/a%2520b/fp16%2B1.tar.gz%3Fx%3D1%26y%3D2"


def follows_cyclonedx(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    rows = [document["metadata"]["component"], *document["components"]]
    refs = [one["bom-ref"] for one in rows]
    assert len(refs) == len(set(refs))
    assert [one["ref"] for one in document["dependencies"]].sort() == refs.sort()
    assert {need for one in document["dependencies"] for need in one["dependsOn"]} < {*refs}
    assert [
        one["purl"] for one in rows if PackageURL.from_string(one["purl"]).to_string() != one["purl"]
    ] == []


def follows_spdx(text: str) -> None:
    document = JsonLikeDictParser().parse(json.loads(text))  # type: ignore[no-untyped-call]
    wrong = [one.validation_message for one in validate_full_spdx_document(document, "SPDX-2.3")]
    assert wrong == []
    assert document.relationships[0].relationship_type is RelationshipType.DESCRIBES


def of_specimen(licences: dict[str, str] | None = None) -> Parts:
    specs, lock = specimen.specs(), specimen.lock(specimen.LOCK)
    tools = toolchain.pypi(specimen.toolchain().for_platform("linux-64"), "linux-64", "linux-64")
    planned = plans.plan(specs, lock, tools, target="tvm", platform="linux-64", system="linux-64")
    by_label = {one.label(): path for path, one in planned.derivations.items()}
    found = {by_label[label]: one for label, one in (licences or {}).items()}
    return parts.parts(planned, specs, found, {planned.target: specimen.sri("nar of tvm")})


def source(*origins: Origin, commit: str | None = COMMIT, ref: str | None = None) -> SourceTree:
    return SourceTree("fp16", specimen.sri("x"), commit, ref, Filter(), origins)


GITHUB = GitOrigin(git="https://github.com/Maratyszcza/FP16")
ELSEWHERE = GitOrigin(git="https://git.example.com/fp16.git")
PYPI = PypiOrigin(pypi="opcodes", version="0.3.13", file="opcodes-0.3.13.tar.gz", sha256=DIGEST)
DEBIAN = DebianOrigin(
    debian="fp16",
    version="0.0~git20200514.4dfe081-3",
    file="fp16_0.0~git20200514.4dfe081.orig.tar.xz",
    sha256=DIGEST,
)
URL = UrlOrigin(url="https://example.com/a%20b/fp16+1.tar.gz?x=1&y=2", sha256=DIGEST)


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        (source(GITHUB, DEBIAN), f"pkg:github/maratyszcza/fp16@{COMMIT}"),
        (source(DEBIAN, GITHUB), f"pkg:github/maratyszcza/fp16@{COMMIT}"),
        (
            source(GitOrigin(git="https://github.com/owner/NAME.git/")),
            f"pkg:github/owner/name@{COMMIT}",
        ),
        (
            source(ELSEWHERE, GITHUB),
            f"pkg:generic/fp16@{COMMIT}?vcs_url=git%2Bhttps://git.example.com/fp16.git%40{COMMIT}",
        ),
        (source(PYPI, commit=None), "pkg:pypi/opcodes@0.3.13?file_name=opcodes-0.3.13.tar.gz"),
        (source(PYPI), "pkg:pypi/opcodes@0.3.13?file_name=opcodes-0.3.13.tar.gz"),
        (source(DEBIAN, commit=None), "pkg:deb/debian/fp16@0.0~git20200514.4dfe081-3?arch=source"),
        (
            source(URL, commit=None),
            f"pkg:generic/fp16%2B1.tar.gz?checksum=sha256:{DIGEST}&download_url={QUOTED}",
        ),
        (source(), f"pkg:generic/fp16@{COMMIT}"),
    ],
)
def test_the_package_url_of_a_source(tree: SourceTree, named: str) -> None:
    assert naming.source_purl(tree) == named
    assert PackageURL.from_string(named).to_string() == named


@pytest.mark.parametrize(
    ("origin", "location"),
    [
        (GITHUB, f"git+https://github.com/Maratyszcza/FP16@{COMMIT}"),
        (GitOrigin(git="git://example.com/x"), f"git://example.com/x@{COMMIT}"),
        (GitOrigin(git="ssh://example.com/x"), f"git+ssh://example.com/x@{COMMIT}"),
        (PYPI, "pkg:pypi/opcodes@0.3.13?file_name=opcodes-0.3.13.tar.gz"),
        (URL, URL.url),
    ],
)
def test_where_an_origin_is(origin: Origin, location: str) -> None:
    assert naming.location(origin, COMMIT) == location
    assert COMMIT not in naming.location(origin, None)


@pytest.mark.parametrize(
    ("licence", "expression"),
    [
        ("MIT", True),
        ("Apache-2.0", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("MIT OR (Apache-2.0 AND BSD-2-Clause)", True),
        ("LicenseRef-own", True),
        ("Apache 2.0", False),
        ("MIT, BSD", False),
        ("see LICENSE", False),
        ("MIT and BSD", False),
        ("", False),
    ],
)
def test_which_licences_are_expressions(licence: str, expression: bool) -> None:
    assert naming.is_expression(licence) is expression


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT\n", "MIT"),
        ("License-Expression: MIT\nLicense: other\n", "MIT"),
        ("License: Apache 2.0\n", "Apache 2.0"),
        ("License: UNKNOWN\n", None),
        ("License: a text\n        of several lines\n", None),
        ("Name: x\n\nLicense: in the body\n", None),
        ("", None),
        ("License: \udcff\n", "\ufffd"),
    ],
)
def test_the_licence_of_a_wheel(tmp_path: Path, metadata: str, licence: str | None) -> None:
    (tmp_path / "x-1.dist-info").mkdir()
    (tmp_path / "x-1.dist-info/METADATA").write_bytes(metadata.encode("utf-8", "surrogateescape"))
    assert inventory.licence(tmp_path) == licence


def test_a_wheel_without_metadata_names_no_licence(tmp_path: Path) -> None:
    assert inventory.licence(tmp_path) is None


def test_cyclonedx() -> None:
    document = cyclonedx.document(of_specimen({"ziglang-0.15.2": "MIT", "cmake-3.31.10": "Apache 2.0"}))
    follows_cyclonedx(json.dumps(document))
    rows = {one["name"]: one for one in document["components"]}
    target = document["metadata"]["component"]
    assert rows["fp16"] == {
        "type": "library",
        "bom-ref": rows["fp16"]["bom-ref"],
        "name": "fp16",
        "version": COMMIT,
        "description": "half-precision conversions",
        "licenses": [{"expression": "MIT"}],
        "purl": rows["fp16"]["purl"],
        "swhid": [f"swh:1:dir:{TREE}", f"swh:1:rev:{COMMIT}"],
        "externalReferences": [
            {"type": "vcs", "url": "https://example.org/fp16", "comment": f"commit {COMMIT}"}
        ],
        "properties": [
            {"name": "tvm-recipes:kind", "value": "source"},
            {"name": "tvm-recipes:narHash", "value": specimen.sri("fp16")},
        ],
    }
    assert rows["ziglang"]["licenses"] == [{"expression": "MIT"}]
    assert rows["cmake"]["licenses"] == [{"license": {"name": "Apache 2.0"}}]
    assert "licenses" not in rows["ninja"]
    assert "licenses" not in rows["tvm/3rdparty/dlpack"]  # its parent's is not its own
    assert [one["alg"] for one in rows["ziglang"]["hashes"]] == ["SHA-256"]
    assert (target["name"], target["version"]) == ("tvm", "v0.22.0")
    assert rows["tvm"]["externalReferences"][1] == {
        "type": "source-distribution",
        "url": "pkg:pypi/carrier@1.10?file_name=carrier-1.10.tar.gz",
        "hashes": [
            {"alg": "SHA-256", "content": rows["tvm"]["externalReferences"][1]["hashes"][0]["content"]}
        ],
    }
    [needs] = [one["dependsOn"] for one in document["dependencies"] if one["ref"] == target["bom-ref"]]
    assert sorted(needs) == sorted(one["bom-ref"] for one in rows.values())
    assert uuid.UUID(document["serialNumber"].removeprefix("urn:uuid:")).version == 5


def test_spdx() -> None:
    document = spdx.document(of_specimen({"ziglang-0.15.2": "MIT", "cmake-3.31.10": "Apache 2.0"}))
    follows_spdx(json.dumps(document))
    rows = {one["SPDXID"].partition("-")[2][33:]: one for one in document["packages"]}
    assert rows["fp16"]["downloadLocation"] == f"git+https://example.org/fp16@{COMMIT}"
    assert rows["fp16"]["licenseDeclared"] == "MIT"
    assert rows["fp16"]["externalRefs"][1:] == [
        {
            "referenceCategory": "PERSISTENT-ID",
            "referenceType": "swh",
            "referenceLocator": locator,
        }
        for locator in (f"swh:1:dir:{TREE}", f"swh:1:rev:{COMMIT}")
    ]
    assert rows["cmake-3.31.10"]["licenseDeclared"] == "NOASSERTION"
    assert rows["cmake-3.31.10"]["licenseComments"] == "said to be: Apache 2.0"
    assert rows["ziglang-0.15.2"]["licenseDeclared"] == "MIT"
    kinds = {one["relationshipType"] for one in document["relationships"]}
    assert kinds == {"DESCRIBES", "GENERATED_FROM", "BUILD_TOOL_OF"}
    newest = specimen.lock(specimen.LOCK).epoch("tvm")
    assert document["creationInfo"]["created"].startswith("20")
    assert newest == of_specimen().epoch


@pytest.mark.parametrize("write", [cyclonedx.document, spdx.document])
def test_a_document_is_the_same_each_time_and_another_for_other_parts(write: Any) -> None:
    one, same, other = write(of_specimen()), write(of_specimen()), write(of_specimen({"ninja-1.13.0": "MIT"}))
    key = "serialNumber" if write is cyclonedx.document else "documentNamespace"
    assert one == same
    assert one[key] != other[key]


def with_conda(*names: str) -> Plan:
    """Give the specimen's plan with a conda environment as one more tool."""
    specs, lock = specimen.specs(), specimen.lock(specimen.LOCK)
    tools = toolchain.pypi(specimen.toolchain().for_platform("linux-64"), "linux-64", "linux-64")
    packages = tuple(
        CondaPackage(
            name, "1.2", "h0_1", "linux-64", "linux-64", f"https://example.com/{name}", DIGEST, "ef" * 16
        )
        for name in names or ("gcc_impl", "libgcc")
    )
    more = {**tools.tools, "conda": CondaPrefix("/toolchain/conda", "linux-64", packages, "rattler 1")}
    both = dataclasses.replace(tools, tools=more)
    return plans.plan(specs, lock, both, target="tvm", platform="linux-64", system="linux-64")


def test_a_conda_environment_is_told_by_its_packages() -> None:
    made = parts.parts(with_conda(), specimen.specs(), {}, {})
    document = cyclonedx.document(made)
    follows_cyclonedx(json.dumps(document))
    follows_spdx(json.dumps(spdx.document(made)))
    rows = {one["name"]: one for one in document["components"]}
    assert rows["libgcc"]["purl"] == "pkg:conda/libgcc@1.2?build=h0_1&subdir=linux-64"
    assert rows["libgcc"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert "example.com" not in json.dumps(document)


def test_names_that_differ_in_their_punctuation_have_ids_of_their_own() -> None:
    names = ["pkg:conda/a_b@1", "pkg:conda/a-b@1", "pkg:conda/a.b@1", "pkg:conda/a+b@1", "a-b"]
    ids = [spdx._id(one) for one in names]
    assert len({*ids}) == len(names)
    assert ids[0] == "SPDXRef-pkg-conda-a-b-1-65bf9aa027e69d91"
    assert ids[-1] == "SPDXRef-a-b"
    made = parts.parts(with_conda("a_b", "a-b"), specimen.specs(), {}, {})
    follows_spdx(json.dumps(spdx.document(made)))


def test_the_statement_of_a_conda_environment_names_its_packages() -> None:
    plan = with_conda()
    [name] = [path for path, one in plan.derivations.items() if isinstance(one, CondaPrefix)]
    made = provenance.statement(plan, name, {name: Known(specimen.sri("x"))}, {})
    found = made["predicate"]["buildDefinition"]
    assert found["externalParameters"] == {"at": "/toolchain/conda", "platform": "linux-64"}
    assert found["resolvedDependencies"][0] == {
        "name": "gcc_impl",
        "uri": "pkg:conda/gcc_impl@1.2?build=h0_1&subdir=linux-64",
        "digest": {"sha256": DIGEST},
    }
    assert provenance.dependencies(made) == {}


def test_what_does_not_follow_the_standards_is_seen() -> None:
    document = cyclonedx.document(of_specimen())
    document["components"][0]["kind"] = "wheel"
    with pytest.raises(AssertionError):
        follows_cyclonedx(json.dumps(document))
    other = spdx.document(of_specimen())
    other["packages"][0]["licenseDeclared"] = "Apache2"
    with pytest.raises(AssertionError, match="Apache2"):
        follows_spdx(json.dumps(other))


def variants() -> list[str]:
    return project.find(Path(__file__).resolve().parent).variants()


@pytest.mark.parametrize("variant", variants())
def test_the_documents_of_each_environment(root: Path, variant: str) -> None:
    found = project.find(root)
    specs, wheels = found.specs(variant), found.toolchain(variant).for_platform("linux-64")
    planned = plans.plan(
        specs,
        found.lock(variant),
        toolchain.pypi(wheels, "linux-64", "linux-64"),
        target=specs.environment.target,
        platform="linux-64",
        system="linux-64",
    )
    made = parts.parts(planned, specs, {}, {})
    follows_cyclonedx(json.dumps(cyclonedx.document(made)))
    follows_spdx(json.dumps(spdx.document(made)))


def test_a_bill_as_a_user_sees_it(small: Small) -> None:
    empty = small.run("sbom", "--variant", "both").ok()
    follows_cyclonedx(empty.out)
    assert small.run("sbom", "--variant", "both").ok().out == empty.out
    assert not small.store.exists()  # nothing has to be fetched or built
    names = {one["name"] for one in json.loads(empty.out)["components"]}
    assert names == {
        *("app", "thing", "thing/3rdparty/part", "thing/3rdparty/part/deep", "cmake", "ninja", "ziglang")
    }
    written = small.run("sbom", "--variant", "both", "--format", "spdx", "--output", "bill.json").ok()
    assert (written.out, written.err) == ("", "")
    text = (small.root / "bill.json").read_text()
    follows_spdx(re.sub(r"(git|other)\.example\b", "example.org", text))  # spdx-tools knows no longer domain
    part = json.loads(small.run("sbom", "--variant", "both", "thing").ok().out)
    assert part["metadata"]["component"]["name"] == "thing"
    assert "app" not in {one["name"] for one in part["components"]}


def test_where_a_bill_cannot_be_written(small: Small) -> None:
    ran = small.run("sbom", "--variant", "small", "--output", "no/where/bill.json").failed(2)
    assert ran.err == f"error: no directory `{small.root}/no/where` to write `bill.json` to\n"
    assert small.run("sbom", "--variant", "small", "--format", "swid").code == 2


def test_what_is_in_the_store_is_told(small: Small) -> None:
    small.run("fetch", "--variant", "small").ok()
    rows = json.loads(small.run("sbom", "--variant", "small").ok().out)["components"]
    [zig] = [one for one in rows if one["name"] == "ziglang"]
    assert "tvm-recipes:narHash" in {one["name"] for one in zig["properties"]}
