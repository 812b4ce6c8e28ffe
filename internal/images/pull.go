package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Options of a Puller. The zero value of each field is its default.
type Options struct {
	Hosts Hosts
	// Registry is the platform's own, where images are put: host:port, or unix:
	// and the path of its socket. User and Password may write any repository.
	Registry, User, Password string
	// MaxBytes bounds the compressed layers of one image: 10 GiB. Too much lets
	// one image fill the disk.
	MaxBytes int64
	// Timeout bounds one pull: 30 min. Too short refuses large images on thin
	// lines.
	Timeout time.Duration
	// Silence is how long a registry may say nothing: 30 s.
	Silence time.Duration
	// Architecture is that of the machines, as Go names it: this one's.
	Architecture string
	// Pulls is how many images are copied at once: 4. More wait in line.
	Pulls int
	// Every is how often a pull says how far it is: 3 s.
	Every time.Duration

	pause time.Duration // before what failed is tried again
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxBytes, 10<<30)
	setDefault(&o.Timeout, 30*time.Minute)
	setDefault(&o.Silence, 30*time.Second)
	setDefault(&o.Architecture, runtime.GOARCH)
	setDefault(&o.Pulls, 4)
	setDefault(&o.Every, 3*time.Second)
	setDefault(&o.pause, 500*time.Millisecond)
	return o
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Puller brings images. It is safe for concurrent use; of one repository,
// only one at a time.
type Puller struct {
	options Options
	way     *way
	shelf   *shelf
	slots   chan struct{} // one token a pull
}

// New makes a Puller. It reads the CA files of o.Hosts; nothing is asked yet.
func New(o Options) (*Puller, error) {
	o = o.withDefaults()
	out, err := newWay(o.Hosts, o.Silence)
	if err != nil {
		return nil, err
	}
	host, in := local(o.Registry, o.Silence)
	return &Puller{
		options: o, way: out, slots: make(chan struct{}, o.Pulls),
		shelf: &shelf{host: host, way: in, user: o.User, password: o.Password, silence: o.Silence},
	}, nil
}

// Close lets go of idle connections.
func (p *Puller) Close() {
	p.way.close()
	p.shelf.way.CloseIdleConnections()
}

// Request is an image from elsewhere.
type Request struct {
	// Reference as the user wrote it; see ParseReference.
	Reference string
	// Into is the repository of the platform's registry it is copied to.
	Into        string
	Credentials Credentials
	// Output is told the story, a line each; nil: nobody.
	Output io.Writer
}

// errTooSlow ends a pull that takes longer than Options.Timeout.
var errTooSlow = errors.New("took too long")

// Pull copies an image into the platform's registry and returns it pinned:
// Ref is <into>@<digest> of the manifest for this kind of machine. It asks the
// mirrors of the registry in their order, then the registry. The same image
// again copies nothing. It blocks until all is there, or ctx ends; what was
// copied of an image that could not be had whole is left for garbage
// collection.
//
// An image that cannot be had is ErrInvalid, in words for the user; a registry
// of the platform that does not take it ErrUnavailable. Credentials go to the
// registry that they name, and the service of tokens it names, alone.
func (p *Puller) Pull(ctx context.Context, r Request) (platform.Image, error) {
	ref, ok := ParseReference(r.Reference)
	if !ok {
		return platform.Image{}, platform.Invalid("image", "The given image is invalid")
	}
	if r.Output == nil {
		r.Output = io.Discard
	}
	ctx, end := context.WithTimeoutCause(ctx, p.options.Timeout, errTooSlow)
	defer end()
	if err := p.enter(ctx, r.Output); err != nil {
		return platform.Image{}, p.word(ref, err)
	}
	defer func() { <-p.slots }()
	image, err := p.find(ctx, ref, r)
	if err != nil {
		return platform.Image{}, p.word(ref, err)
	}
	fmt.Fprintf(r.Output, "Pulled %s: %s, %s, %s\n", ref, strings.TrimPrefix(image.Ref, r.Into+"@"), layersText(image.Layers), sizeText(image.Size))
	return image, nil
}

// enter waits until another image may be copied.
func (p *Puller) enter(ctx context.Context, out io.Writer) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	fmt.Fprintln(out, "Waiting for other images to be pulled...")
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// find takes the image from the first source that has it.
func (p *Puller) find(ctx context.Context, ref Reference, r Request) (platform.Image, error) {
	nowhere := &nowhere{ref: ref, credentials: r.Credentials}
	for _, from := range p.sources(ref, r.Credentials) {
		fmt.Fprintf(r.Output, "Pulling %s from %s\n", ref, from.host)
		image, err := p.take(ctx, from, ref.which(), r.Into, r.Output)
		var f *fault
		if err == nil || !errors.As(err, &f) {
			return image, err
		}
		nowhere.faults = append(nowhere.faults, f)
	}
	return platform.Image{}, nowhere
}

// sources are the repositories that may have the image, in the order in which
// they are asked.
func (p *Puller) sources(ref Reference, c Credentials) []*remote {
	var all []*remote
	hosts := p.options.Hosts
	for _, mirror := range hosts.Mirrors[ref.Host] {
		from := p.remote(mirror.Host, strings.TrimPrefix(mirror.Path+"/"+ref.Repository, "/"))
		if mirror.Plain {
			from.schemes = []string{"http"}
		}
		// What is alone in standing for a registry is that registry here.
		from.know(c, mirror.Host, hosts.Only[ref.Host] && c.Host() == ref.Host)
		all = append(all, from)
	}
	if !hosts.Only[ref.Host] {
		from := p.remote(ref.Host, ref.Repository)
		from.know(c, ref.Host, false)
		all = append(all, from)
	}
	return all
}

func (p *Puller) remote(host, repository string) *remote {
	schemes := []string{"https"}
	if p.options.Hosts.Insecure[host] {
		schemes = append(schemes, "http")
	}
	return &remote{host: host, schemes: schemes, address: address(host), repository: repository, client: p.way, silence: p.options.Silence}
}

// know gives the remote the credentials, if they are for it.
func (r *remote) know(c Credentials, host string, stands bool) {
	if stands || c.Host() == host {
		r.user, r.password = c.Username, c.Password
	}
}

// word says to the user why there is no image.
func (p *Puller) word(ref Reference, err error) error {
	var misfit *unfit
	var none *nowhere
	switch {
	case errors.As(err, &misfit):
		return platform.Invalid("", "image %s %s", ref, misfit.text)
	case errors.As(err, &none):
		return none.word()
	case errors.Is(err, errTooSlow):
		return platform.Invalid("", "image %s was not pulled within %s: its registry is too slow, or --pull-timeout too short", ref, p.options.Timeout)
	}
	return fmt.Errorf("image %s: %w", ref, err)
}

// nowhere is an image that no source had.
type nowhere struct {
	ref         Reference
	credentials Credentials
	faults      []*fault
}

func (n *nowhere) Error() string { return "image " + n.ref.String() + " not found" }

// hidden reports whether a source said no in a way in which Docker Hub says it
// of what is not there at all.
func hidden(f *fault) bool { return f.why == denied && f.host == DockerHub && !f.bad }

// word tells what each source said, in the contract's words (Deis contract 2.4).
func (n *nowhere) word() error {
	var lack, trouble []string
	for _, f := range n.faults {
		switch {
		case f.why == denied && !hidden(f):
			return &platform.UserError{
				Kind: platform.ErrInvalid, Message: fmt.Sprintf("Permission Denied attempting to pull image %s", n.ref), Cure: n.cure(f),
			}
		case f.why == broken:
			trouble = append(trouble, f.Error())
		case !slices.Contains(lack, f.host):
			lack = append(lack, f.host)
		}
	}
	switch {
	case len(trouble) == 0:
		return platform.Invalid("", "image %s not found", n.ref)
	case len(lack) == 0:
		return platform.Invalid("", "image %s cannot be had: %s", n.ref, strings.Join(trouble, "; "))
	}
	return platform.Invalid("", "image %s not found at %s, and %s", n.ref, strings.Join(lack, ", "), strings.Join(trouble, "; "))
}

// cure says whose credentials were wanted, and never what was shown.
func (n *nowhere) cure(f *fault) string {
	switch known := n.credentials.Host(); {
	case !n.credentials.given():
		return fmt.Sprintf("%s wants to know who asks. Give the app credentials for it: slipway registry set username=… password=… hostname=%s", f.host, f.host)
	case known != f.host && known != n.ref.Host:
		return fmt.Sprintf("The app's registry credentials are for %s. Those of %s are wanted: slipway registry set username=… password=… hostname=%s", orNobody(known), f.host, f.host)
	}
	return fmt.Sprintf("%s does not take the app's registry credentials for this image", f.host)
}

func orNobody(host string) string {
	if host == "" {
		return "no registry there is"
	}
	return host
}
