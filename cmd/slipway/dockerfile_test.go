package main_test

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/stacktest"
)

// mirrorCommand starts a registry that stands before Docker Hub for this
// script: it has debian:bookworm, and of golang:1 and node:20 those that are
// named, which are debian with this machine's own toolchain.
func mirrorCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("usage: mirror [golang] [node]")
		}
		server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
		ts.Defer(server.Close)
		base := stacktest.Image(t)
		host := strings.TrimPrefix(server.URL, "http://")
		put(ts, host+"/library/debian:bookworm", base)
		for _, toolchain := range args {
			switch toolchain {
			case "golang":
				put(ts, host+"/library/golang:1", withFiles(ts, base, []string{"PATH=/usr/local/go/bin:/usr/bin:/bin", "GOTOOLCHAIN=local", "GOFLAGS=-mod=mod"}, goFiles()))
			case "node":
				put(ts, host+"/library/node:20", withFiles(ts, base, []string{"PATH=/usr/bin:/bin", "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"}, nodeFiles()))
			default:
				ts.Fatalf("mirror %s: no such toolchain", toolchain)
			}
		}
		ts.Setenv("SLIPWAY_REGISTRY_MIRRORS", "docker.io="+server.URL+",docker.io=only")
	}
}

func put(ts *testscript.TestScript, ref string, image v1.Image) {
	tag, err := name.NewTag(ref, name.Insecure)
	ts.Check(err)
	ts.Check(remote.Write(tag, image))
}

// withFiles is an image with files of this machine on top, at the same paths.
func withFiles(ts *testscript.TestScript, base v1.Image, env []string, paths []string) v1.Image {
	file := filepath.Join(ts.MkAbs("."), ".toolchain.tar")
	out, err := os.Create(file)
	ts.Check(err)
	archive := tar.NewWriter(out)
	for _, path := range paths {
		ts.Check(addFile(archive, path))
	}
	ts.Check(archive.Close())
	ts.Check(out.Close())
	layer, err := tarball.LayerFromFile(file, tarball.WithCompressionLevel(1))
	ts.Check(err)
	image, err := mutate.AppendLayers(base, layer)
	ts.Check(err)
	config, err := image.ConfigFile()
	ts.Check(err)
	config = config.DeepCopy()
	config.Config.Env = env
	image, err = mutate.ConfigFile(image, config)
	ts.Check(err)
	return image
}

func addFile(archive *tar.Writer, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target, _ := os.Readlink(path)
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name = strings.TrimPrefix(path, "/")
	if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(archive, bytes.NewReader(text))
	return err
}

// goFiles are what compiles a program of the standard library alone.
func goFiles() []string {
	root := "/usr/local/go"
	files := below(root+"/src", func(path string) bool {
		return strings.HasSuffix(path, "/testdata") || strings.HasPrefix(path, root+"/src/cmd") || strings.HasSuffix(path, "_test.go")
	})
	tools := root + "/pkg/tool/linux_" + runtime.GOARCH
	files = append(files, below(root+"/pkg/include", nil)...)
	return append(files, root+"/bin/go", root+"/go.env", root+"/VERSION", tools+"/compile", tools+"/link", tools+"/asm")
}

// nodeFiles are the interpreter and npm.
func nodeFiles() []string {
	return append(below("/usr/lib/node_modules/npm", nil), "/usr/bin/node", "/usr/bin/npm", "/etc/ssl/certs/ca-certificates.crt")
}

func below(dir string, skip func(string) bool) (files []string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case skip != nil && skip(path) && entry.IsDir():
			return filepath.SkipDir
		case entry.IsDir() || skip != nil && skip(path):
			return nil
		}
		files = append(files, path)
		return nil
	})
	return files
}

// buildsDockerfiles reports whether this machine can, and has base images.
func buildsDockerfiles() bool { return stacktest.Possible() && hasPrograms("runc", "iptables") }

func hasPrograms(names ...string) bool {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return false
		}
	}
	return true
}

// hasToolchain reports whether this machine's own can be put into an image.
func hasToolchain(files ...string) bool {
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}
