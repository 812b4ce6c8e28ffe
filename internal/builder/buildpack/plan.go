package buildpack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

// pack names one buildpack: a bundled one, or a git repository.
type pack struct {
	bundled string // name of a bundled buildpack, else empty
	url     string
	ref     string // branch, tag or commit; empty: the default branch
	local   string // git directory of a file:// URL
}

// String is the pack as the user may see it: without the URL's credentials.
func (p pack) String() string {
	if p.bundled != "" {
		return p.bundled
	}
	text := p.url
	if u, err := url.Parse(p.url); err == nil && u.User != nil {
		u.User = nil
		text = u.String()
	}
	if p.ref != "" {
		text += "#" + p.ref
	}
	return text
}

// key names the repository at its ref among the buildpacks in a cache.
func (p pack) key() string {
	sum := sha256.Sum256([]byte(p.url + "#" + p.ref))
	return hex.EncodeToString(sum[:])
}

// maxPacks bounds .buildpacks.
const maxPacks = 16

// plan is which buildpacks a request asks for, in order; none means: detect.
// BUILDPACK_URL outranks .buildpacks.
func plan(dir string, r builder.Request) ([]pack, error) {
	if text := strings.TrimSpace(r.Env["BUILDPACK_URL"]); text != "" {
		p, err := parsePack("BUILDPACK_URL", text)
		if err != nil {
			return nil, err
		}
		return []pack{p}, nil
	}
	text, err := readSmall(dir, ".buildpacks")
	if err != nil {
		return nil, err
	}
	var packs []pack
	line := 0
	for text := range strings.Lines(text) {
		line++
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "# ") || text == "#" {
			continue
		}
		p, err := parsePack(fmt.Sprintf(".buildpacks line %d", line), text)
		if err != nil {
			return nil, err
		}
		if packs = append(packs, p); len(packs) > maxPacks {
			return nil, packError(".buildpacks", "names more than %d buildpacks", maxPacks)
		}
	}
	return packs, nil
}

var (
	scpLike = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:]+$`)
	gitRef  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/+-]*$`)
)

// parsePack reads "url#ref", or the name of a bundled buildpack.
func parsePack(where, text string) (pack, error) {
	address, ref, _ := strings.Cut(text, "#")
	name := strings.TrimPrefix(strings.TrimPrefix(address, "heroku/"), "slipway/")
	if slices.Contains(bundled, name) && ref == "" {
		return pack{bundled: name}, nil
	}
	if ref != "" && !gitRef.MatchString(ref) {
		return pack{}, packError(where, "%q is no branch, tag or commit", ref)
	}
	p := pack{url: address, ref: ref}
	if scpLike.MatchString(address) {
		return p, nil
	}
	u, err := url.Parse(address)
	if err != nil || strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return pack{}, packError(where, "%q is no URL", pack{url: redacted(address)})
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		p.local, err = publicRepository(u.Path)
		if err != nil {
			return pack{}, packError(where, "%s: %v", p, err)
		}
		return p, nil
	case slices.Contains([]string{"https", "http", "git", "ssh"}, u.Scheme) && u.Host != "":
		return p, nil
	}
	return pack{}, packError(where, "%q is no buildpack", p.String())
}

func redacted(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}

func packError(where, format string, args ...any) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: "buildpack: " + where + ": " + fmt.Sprintf(format, args...),
		Cure: "Name a git repository, such as https://github.com/<owner>/<repository>.git#<ref>, or one of " +
			strings.Join(bundled, ", ") + "; or unset BUILDPACK_URL to have it detected.",
	}
}

// publicRepository returns the git directory of the repository at path, without
// links, if everybody on this machine may read it: a build must not see through
// file:// what its own user may not. It is all of the machine that the build
// gets to see, so it must be a repository and nothing wider, such as /.
func publicRepository(path string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Clean(path))
	if err != nil {
		return "", errors.New("there is no such directory on this machine")
	}
	if isDirectory(filepath.Join(real, ".git")) {
		real = filepath.Join(real, ".git")
	}
	for at := real; at != "/"; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil || !info.IsDir() || info.Mode().Perm()&0o001 == 0 {
			return "", errors.New("it is no directory that everybody on this machine may read")
		}
	}
	for _, part := range []string{"objects", "refs"} {
		if !isDirectory(filepath.Join(real, part)) {
			return "", errors.New("it is no git repository")
		}
	}
	return real, nil
}

func isDirectory(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// readSmall reads a small file of the tree without leaving it; a missing one
// is empty.
func readSmall(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fileError(name, "cannot be read inside the tree")
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fileError(name, "is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSmall+1))
	if err == nil && len(text) > maxSmall {
		err = fileError(name, "is larger than 64 KiB")
	}
	return string(text), err
}

const maxSmall = 64 << 10

func fileError(name, problem string) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: name + " " + problem,
		Cure:    "Replace it by a small text file, or remove it, then push again.",
	}
}
