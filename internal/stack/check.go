package stack

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	pathpkg "path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Bounds of what is read of an image to judge it.
const (
	maxStackBytes   = 16 << 30
	maxStackEntries = 2_000_000
	checkPatience   = 5 * time.Minute
)

// Facts are what an image says of itself as a stack.
type Facts struct {
	Image  string // repository@digest
	System string // PRETTY_NAME of its os-release
	Size   int64  // compressed bytes of its layers
}

// Check tells whether the image ref of the platform's registry can be a stack,
// and what it is: it must be for this machine, and have bash, which a slug's
// launcher is, the files that say who is who, and the C library that what is
// built here is linked to. What it lacks is ErrInvalid.
func (s *Stacks) Check(ctx context.Context, ref string) (Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	image, err := s.image(ctx, ref)
	if err != nil {
		return Facts{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return Facts{}, err
	}
	repository, _, _ := strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(repository, ':'); colon > strings.LastIndexByte(repository, '/') {
		repository = repository[:colon]
	}
	facts := Facts{Image: repository + "@" + digest.String()}
	layers, _, err := foundation(&Base{Ref: ref, Image: image})
	if err != nil {
		return Facts{}, err
	}
	if facts.Size, err = layersSize(layers); err != nil {
		return Facts{}, err
	}
	found, err := survey(ctx, image)
	if err != nil {
		return Facts{}, fmt.Errorf("read %s: %w", ref, err)
	}
	facts.System = found.system
	return facts, found.usable(ref)
}

// findings are the paths of an image that matter to a stack.
type findings struct {
	files  map[string]bool   // that are there, but links
	links  map[string]string // to their targets
	system string
}

// wanted are the paths whose presence is remembered, besides every link.
var wanted = map[string]bool{
	"bin/bash": true, "usr/bin/bash": true, "etc/passwd": true, "etc/group": true,
}

func isLoader(name string) bool {
	return strings.HasPrefix(pathpkg.Base(name), "ld-linux") || strings.HasPrefix(pathpkg.Base(name), "ld-musl")
}

func survey(ctx context.Context, image v1.Image) (findings, error) {
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	found := findings{files: make(map[string]bool), links: make(map[string]string)}
	archive := tar.NewReader(io.LimitReader(content, maxStackBytes))
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, platform.Invalid("image", "its layers cannot be read: %v", err)
		case ctx.Err() != nil:
			return found, ctx.Err()
		case entries > maxStackEntries:
			return found, platform.Invalid("image", "it holds more than %d files", maxStackEntries)
		}
		found.note(pathpkg.Clean("/" + header.Name)[1:], header, archive)
	}
}

// maxLinks bounds the links that are remembered; a system has some thousands.
const maxLinks = 200_000

func (f *findings) note(name string, header *tar.Header, content io.Reader) {
	switch {
	case header.Typeflag == tar.TypeSymlink && len(f.links) < maxLinks && len(name)+len(header.Linkname) < 1024:
		f.links[name] = header.Linkname
	case header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeLink:
	case wanted[name] || isLoader(name) && len(f.files) < 1000:
		f.files[name] = true
	case name == "etc/os-release" || name == "usr/lib/os-release":
		lines := bufio.NewScanner(io.LimitReader(content, 64<<10))
		for lines.Scan() {
			if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
				f.system = printable(strings.Trim(value, `"'`), 100)
			}
		}
	}
}

// printable is the first characters of a text that a stranger wrote.
func printable(text string, most int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
	return string(runes[:min(len(runes), most)])
}

// has follows links: in most systems /bin leads to /usr/bin.
func (f *findings) has(name string) bool {
	for range 16 {
		if f.files[name] {
			return true
		}
		next, ok := f.follow(name)
		if !ok {
			return false
		}
		name = next
	}
	return false
}

// follow replaces the first part of the path that is a link.
func (f *findings) follow(name string) (string, bool) {
	parts := strings.Split(name, "/")
	for i := range parts {
		at := strings.Join(parts[:i+1], "/")
		target, ok := f.links[at]
		if !ok {
			continue
		}
		if !strings.HasPrefix(target, "/") {
			target = pathpkg.Join("/", pathpkg.Dir(at), target)
		}
		return pathpkg.Join(append([]string{target}, parts[i+1:]...)...)[1:], true
	}
	return "", false
}

func (f *findings) usable(ref string) error {
	var glibc, musl bool
	for name := range f.files {
		glibc = glibc || strings.HasPrefix(pathpkg.Base(name), "ld-linux")
		musl = musl || strings.HasPrefix(pathpkg.Base(name), "ld-musl")
	}
	for name := range f.links {
		glibc = glibc || strings.HasPrefix(pathpkg.Base(name), "ld-linux") && f.has(name)
	}
	lacks := ""
	switch {
	case !f.has("bin/bash"):
		lacks = "has no /bin/bash, which starts a slug's processes"
	case !f.has("etc/passwd") || !f.has("etc/group"):
		lacks = "has no /etc/passwd and /etc/group"
	case musl && !glibc:
		lacks = "is made with musl, and what is built on this machine needs the GNU C library"
	case !glibc:
		lacks = "has no GNU C library"
	}
	if lacks == "" {
		return nil
	}
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("%s cannot be a stack: it %s", ref, lacks),
		Cure:    "Make one of this machine's own release with  slipway stack build  or choose an image of Debian or Ubuntu.",
	}
}
