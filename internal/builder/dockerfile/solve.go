package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/client"
	policy "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/tonistiigi/fsutil"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

// solve builds the tree at dir, pushes the image and returns its digest.
func (b *Builder) solve(ctx context.Context, c *child, dir string, r builder.Request, s settings, out *builder.Output) (string, error) {
	tree, err := fsutil.NewFS(dir)
	if err != nil {
		return "", err
	}
	display, err := progressui.NewDisplay(out, progressui.PlainMode)
	if err != nil {
		return "", err
	}
	progress, shown := make(chan *client.SolveStatus), make(chan struct{})
	go func() {
		defer close(shown)
		_, _ = display.UpdateFrom(context.Background(), progress) // ends with the channel
	}()
	said, err := c.Solve(ctx, nil, client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: s.attrs,
		LocalMounts:   map[string]fsutil.FS{"context": tree, "dockerfile": tree},
		SharedKey:     r.App, // what the daemon has of the tree is sent no second time
		Session:       b.session(r, s),
		SourcePolicy:  b.policy(r.App),
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{
			"name": b.options.RegistryAddr + "/" + r.App, "push": "true", "push-by-digest": "true",
			"oci-mediatypes": "true", "store": "false",
		}}},
	}, progress)
	<-shown
	if err != nil {
		return "", err
	}
	digest := said.ExporterResponse["containerimage.digest"]
	if digest == "" {
		return "", errors.New("BuildKit names no image")
	}
	return digest, nil
}

// policy keeps a Dockerfile from the images of other apps: in the platform's
// own registry the build is the platform, and would be given any. Of its own
// app it may name each. The last rule that fits counts.
func (b *Builder) policy(app string) *policy.Policy {
	rule := func(action policy.PolicyAction, pattern string) *policy.Rule {
		return &policy.Rule{Action: action, Selector: &policy.Selector{Identifier: pattern, MatchType: policy.MatchType_REGEX}}
	}
	all := `^[a-z+-]+://` + regexp.QuoteMeta(b.options.RegistryAddr) + `/`
	return &policy.Policy{Version: 1, Rules: []*policy.Rule{
		rule(policy.PolicyAction_DENY, all),
		rule(policy.PolicyAction_ALLOW, all+regexp.QuoteMeta(app)+`[:@]`),
	}}
}

// keep bounds what stays of a cache.
func keep(bytes int64) []client.PruneOption {
	return []client.PruneOption{client.WithKeepOpt(0, 0, bytes, 0), client.PruneAll}
}

// maxInspect bounds the time to read an image's description from our registry.
const maxInspect = time.Minute

// result reads what the pushed image says of itself.
func (b *Builder) result(ctx context.Context, r builder.Request, digest string) (builder.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, maxInspect)
	defer cancel()
	ref, err := name.NewDigest(b.options.RegistryAddr+"/"+r.App+"@"+digest, name.Insecure)
	if err != nil {
		return builder.Result{}, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithTransport(transport),
		remote.WithAuth(&authn.Basic{Username: b.options.RegistryUser, Password: b.options.RegistryPassword}))
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", r.App, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", r.App, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", r.App, err)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		return builder.Result{}, refused(fmt.Sprintf("the image is for %s/%s, this machine runs linux/%s", config.OS, config.Architecture, runtime.GOARCH),
			"Take --platform out of the Dockerfile's last stage, or choose a base image for this machine, and push again.")
	}
	result := builder.Result{Image: r.App + "@" + digest, Kind: platform.ImageDockerfile, Detected: "Dockerfile", Ports: ports(config.Config)}
	for _, layer := range manifest.Layers {
		result.Size += layer.Size
	}
	return result, nil
}

// ports are the TCP ports an image exposes, ascending.
func ports(config v1.Config) []int {
	var found []int
	for exposed := range config.ExposedPorts {
		number, protocol, _ := strings.Cut(exposed, "/")
		n, err := strconv.Atoi(number)
		if err == nil && n > 0 && n < 1<<16 && (protocol == "" || protocol == "tcp") {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
