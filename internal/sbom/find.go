package sbom

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Bounds of what is read of an image.
const (
	maxBytes      = 16 << 30 // unpacked
	maxEntries    = 2_000_000
	maxText       = 16 << 20  // of one list of packages
	maxProgram    = 512 << 20 // of one program or jar
	maxPrograms   = 8 << 30   // of all
	maxComponents = 100_000
)

// component is one thing in an image.
type component struct {
	kind    string // of the package URL: deb, npm, pypi, …
	group   string
	name    string
	version string
	arch    string
}

// contents is what an image holds.
type contents struct {
	system     map[string]string // of os-release
	components []component
	seen       map[component]bool
	truncated  bool
	programs   int64
	scratch    string // folder for programs while they are looked at
}

// add keeps a component once.
func (c *contents) add(found ...component) {
	for _, one := range found {
		one = component{kind: one.kind, group: clean(one.group), name: clean(one.name), version: clean(one.version), arch: clean(one.arch)}
		if one.name == "" || c.seen[one] {
			continue
		}
		if len(c.components) >= maxComponents {
			c.truncated = true
			return
		}
		c.seen[one] = true
		c.components = append(c.components, one)
	}
}

// clean is at most 256 bytes of a word that a stranger wrote, and nothing that
// is no word.
func clean(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 256 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return ""
	}
	return text
}

// read finds what is in an image, as its layers lie over one another.
func read(ctx context.Context, image v1.Image, scratch string) (*contents, error) {
	c := &contents{seen: make(map[component]bool), scratch: scratch}
	files := mutate.Extract(image)
	defer func() { _ = files.Close() }()
	archive := tar.NewReader(io.LimitReader(files, maxBytes))
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, err
		case entries > maxEntries:
			c.truncated = true
			return c, nil
		}
		if header.Typeflag == tar.TypeReg {
			c.file(path.Clean("/" + header.Name)[1:], header, archive)
		}
	}
}

// lists are who reads a file, by what its path ends in.
var lists = []struct {
	fits func(name, base string) bool
	read func(io.Reader) []component
}{
	{is("var/lib/dpkg/status"), dpkg},
	{func(name, _ string) bool { return path.Dir(name) == "var/lib/dpkg/status.d" && path.Ext(name) == "" }, dpkg},
	{is("lib/apk/db/installed"), apk},
	{based("package-lock.json"), packageLock},
	{func(name, base string) bool { return base == "package.json" && inModules(name) }, packageJSON},
	{func(name, base string) bool {
		return base == "METADATA" && strings.HasSuffix(path.Dir(name), ".dist-info")
	}, python},
	{func(name, base string) bool {
		return base == "PKG-INFO" && strings.HasSuffix(path.Dir(name), ".egg-info")
	}, python},
	{based("Gemfile.lock"), gemfile},
	{based("composer.lock"), composer},
}

func is(want string) func(string, string) bool {
	return func(name, _ string) bool { return name == want }
}

func based(want string) func(string, string) bool {
	return func(_, base string) bool { return base == want }
}

// inModules: node_modules/name/package.json, or node_modules/@scope/name/….
func inModules(name string) bool {
	dir := path.Dir(path.Dir(name))
	if strings.HasPrefix(path.Base(dir), "@") {
		dir = path.Dir(dir)
	}
	return path.Base(dir) == "node_modules"
}

func (c *contents) file(name string, header *tar.Header, content io.Reader) {
	base := path.Base(name)
	if name == "etc/os-release" || name == "usr/lib/os-release" {
		if fields := osRelease(io.LimitReader(content, 64<<10)); len(c.system) == 0 {
			c.system = fields
		}
		return
	}
	for _, list := range lists {
		if list.fits(name, base) {
			if header.Size <= maxText {
				c.add(list.read(content)...)
			} else {
				c.truncated = true
			}
			return
		}
	}
	switch {
	case strings.HasSuffix(base, ".jar"), strings.HasSuffix(base, ".war"):
		c.program(header, content, func(f program) []component { return jar(f, header.Size, base) })
	case header.Mode&0o111 != 0 && header.Size > 64<<10:
		c.elf(header, content)
	}
}
