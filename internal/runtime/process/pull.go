package process

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-paas/slipway/internal/platform"
)

// registry is where images come from: host:port, or unix: and the path of a
// socket, which no process of an app can take when the registry is down, and
// be told the password.
type registry struct{ host, user, password string }

// unpack pulls the image, verifying every byte against the digest, and
// unpacks its layers into tree.
func (g registry) unpack(ctx context.Context, ref, tree string, uid int) (image, error) {
	if g.host == "" {
		return image{}, fmt.Errorf("no registry is known yet: %w", platform.ErrUnavailable)
	}
	host, transport := g.reach()
	defer transport.CloseIdleConnections()
	digest, err := name.NewDigest(host+"/"+ref, nameOptions(host)...)
	if err != nil {
		return image{}, fmt.Errorf("%w: %w", platform.ErrInvalid, err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithJobs(1), remote.WithTransport(transport)}
	if g.user != "" || g.password != "" {
		options = append(options, remote.WithAuth(&authn.Basic{Username: g.user, Password: g.password}))
	}
	pulled, err := remote.Image(digest, options...)
	if err != nil {
		return image{}, err
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		return image{}, err
	}
	layers, err := pulled.Layers()
	if err == nil {
		layers, err = ofSlug(config, layers)
	}
	if err != nil {
		return image{}, err
	}
	u, err := newUnpacker(tree, uid)
	if err != nil {
		return image{}, err
	}
	defer u.close()
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return image{}, err
		}
		err = u.layer(ctx, content)
		if closed := content.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return image{}, err
		}
	}
	// An image may lack one of the two; the mounts do not.
	for _, folder := range []string{"app", "slipway"} {
		if err := u.folder(folder); err != nil {
			return image{}, err
		}
	}
	img := image{Entrypoint: config.Config.Entrypoint, Env: config.Config.Env, WorkingDir: config.Config.WorkingDir}
	if config.Config.Labels[platform.LabelStack] != "" {
		img.Env = nil // it speaks of the stack's files, and here the machine is the stack
	}
	return img, nil
}

// ofSlug are the layers of the app itself: for a slug on a stack those above
// it. No other is asked for. Images that say nothing of it are all slug.
func ofSlug(config *v1.ConfigFile, layers []v1.Layer) ([]v1.Layer, error) {
	text, ok := config.Config.Labels[platform.LabelSlug]
	if !ok {
		return layers, nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > len(layers) {
		return nil, platform.Invalid("image", "its label %s is %q, and it has %d layers", platform.LabelSlug, text, len(layers))
	}
	return layers[len(layers)-count:], nil
}

// reach returns the name the registry is spoken to by, and the way there.
func (g registry) reach() (host string, transport *http.Transport) {
	transport = remote.DefaultTransport.(*http.Transport).Clone()
	path, local := strings.CutPrefix(g.host, "unix:")
	if !local {
		return g.host, transport
	}
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}
	return "localhost", transport
}

// nameOptions allow plain HTTP to this machine only.
func nameOptions(address string) []name.Option {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return []name.Option{name.Insecure}
	}
	return nil
}
