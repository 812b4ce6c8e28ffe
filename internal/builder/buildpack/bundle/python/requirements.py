"""Checks a tree's requirements against this machine's Python packages.

Exits with 0 when all are satisfied, else prints one line for each that is not:
requirement, what was found, the Debian package that may have it, by tabs.
"""

import importlib.metadata
import os
import re
import sys

try:
    from packaging.requirements import Requirement
except ImportError:
    try:
        from pip._vendor.packaging.requirements import Requirement
    except ImportError:
        Requirement = None


def lines(path, seen):
    """Yields the requirement lines of a file and of those it includes."""
    if path in seen:
        return
    seen.add(path)
    with open(path, encoding="utf-8-sig") as file:
        text = file.read().replace("\\\n", " ")
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        line = re.sub(r"\s--hash=\S+", "", line).strip()
        include = re.match(r"(?:-r|--requirement)[ =]?\s*(\S+)", line)
        if include:
            yield from lines(os.path.join(os.path.dirname(path), include.group(1)), seen)
        elif line and not line.startswith(("-c", "--")):
            yield line


def wanted():
    if os.path.exists("requirements.txt"):
        return list(lines("requirements.txt", set()))
    if not os.path.exists("pyproject.toml"):
        return ["."]
    try:
        import tomllib
    except ImportError:
        return ["."]
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    if "poetry" in project.get("tool", {}) or "dependencies" in project.get("project", {}).get("dynamic", []):
        return ["."]
    return project.get("project", {}).get("dependencies", [])


def problem(text, seen=()):
    """Says why a requirement is not satisfied, or returns None."""
    if Requirement is None:
        name = re.match(r"[A-Za-z0-9._-]+$", text)
        if not name:
            return "cannot be checked without python3-packaging"
        try:
            importlib.metadata.version(text)
            return None
        except importlib.metadata.PackageNotFoundError:
            return "missing"
    try:
        requirement = Requirement(text)
    except Exception:
        return "only pip can install it"
    if requirement.url:
        return "only pip can install it"
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return None
    try:
        found = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
    if not requirement.specifier.contains(found.version, prereleases=True):
        return "this machine has " + found.version
    for extra in requirement.extras:
        for needed in found.requires or []:
            inner = Requirement(needed)
            if inner.marker and inner.marker.evaluate({"extra": extra}) and not inner.marker.evaluate({"extra": ""}):
                if needed not in seen and problem(str(inner).split(";")[0], (*seen, needed)):
                    return "its extra %s needs %s" % (extra, inner.name)
    return None


def main():
    try:
        requirements = wanted()
    except (OSError, ValueError) as error:
        print("%s\tcannot be read\t-" % error)
        return 1
    status = 0
    for text in requirements:
        found = problem(text)
        if found:
            name = re.match(r"[A-Za-z0-9._-]+", text)
            package = "python3-" + re.sub(r"[._]", "-", name.group(0).lower()) if name and text != "." else "-"
            print("%s\t%s\t%s" % (text, found, package))
            status = 1
    return status


sys.exit(main())
