package main_test

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/stacktest"
)

// stackImageCommand does what the platform itself does when it pushes.
func stackImageCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stack-image TAG")
	}
	path, err := stacktest.Cached()
	ts.Check(err)
	system, err := tarball.LayerFromFile(path)
	ts.Check(err)
	image, err := mutate.AppendLayers(empty.Image, system, fileLayer(ts, "etc/stack", args[0]+"\n"))
	ts.Check(err)
	file, err := image.ConfigFile()
	ts.Check(err)
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "FROM_STACK=" + args[0]}}
	image, err = mutate.ConfigFile(image, file)
	ts.Check(err)

	ring, err := secret.OpenFile(filepath.Join(ts.Getenv("STATE"), "secret.key"))
	ts.Check(err)
	password, err := ring.Open(strings.TrimSpace(ts.ReadFile(filepath.Join(ts.Getenv("STATE"), "registry.password"))), "registry.password")
	ts.Check(err)
	ref, err := name.ParseReference(ts.Getenv("SLIPWAY_REGISTRY")+"/stack:"+args[0], name.Insecure)
	ts.Check(err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections() // an open one would hold the platform's end
	ts.Check(remote.Write(ref, image, remote.WithTransport(transport), remote.WithAuth(&authn.Basic{Username: "slipway", Password: string(password)})))
}

func fileLayer(ts *testscript.TestScript, path, text string) v1.Layer {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	ts.Check(w.WriteHeader(&tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}))
	_, err := io.WriteString(w, text)
	ts.Check(err)
	ts.Check(w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	ts.Check(err)
	return layer
}
