package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Stacks is what this door needs of *controller.Controller for stacks.
type Stacks interface {
	Stacks(ctx context.Context, caller platform.Caller) ([]platform.Stack, error)
	BuildStack(ctx context.Context, caller platform.Caller, recipe platform.StackRecipe, use bool, out io.Writer) (platform.Stack, error)
	UseStack(ctx context.Context, caller platform.Caller, which, as string) (platform.Stack, error)
	RemoveStack(ctx context.Context, caller platform.Caller, name string) error
	Rebase(ctx context.Context, caller platform.Caller, app string) (platform.Release, error)
}

func (s *server) listStacks(c *call) (answer, error) {
	stacks, err := s.desk.Stacks(c.ctx(), c.caller)
	if err != nil {
		return answer{}, err
	}
	page := c.page()
	from := min(page.Offset, len(stacks))
	return list(c, stacks[from:min(from+page.Limit, len(stacks))], len(stacks), wireStack)
}

// maxRecipe bounds the words of a recipe, in characters.
const maxRecipe = 300

// buildStack answers with a line of JSON for each line of output, and one with
// the outcome. Before the first line a refusal is a plain one.
func (s *server) buildStack(c *call) (answer, error) {
	f := c.body
	recipe := platform.StackRecipe{
		Name: f.optional("name"), Suite: f.optional("suite"), Mirror: f.optional("mirror"),
	}
	f.short("mirror", maxRecipe)
	if packages := f.texts("packages"); packages != nil {
		recipe.Packages = packages
	}
	use := f.boolean("use")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	out := &progress{w: c.w, control: http.NewResponseController(c.w)}
	stack, err := s.desk.BuildStack(c.ctx(), c.caller, recipe, use == nil || *use, out)
	if err != nil && !out.begun {
		return answer{}, err
	}
	last := api.StackProgress{}
	if err != nil {
		refusal := s.failure(c, err)
		last.Status, last.Error = refusal.status, encode(refusal.body)
	} else {
		wire := wireStack(stack)
		last.Stack = &wire
	}
	out.send(last)
	out.end()
	return answer{}, nil
}

func (s *server) useStack(c *call) (answer, error) {
	f := c.body
	which, as := f.required("stack"), f.optional("name")
	f.short("stack", maxImage)
	if err := f.err(); err != nil {
		return answer{}, err
	}
	stack, err := s.desk.UseStack(c.ctx(), c.caller, which, as)
	if err != nil {
		return answer{}, err
	}
	return ok(wireStack(stack))
}

func (s *server) removeStack(c *call) (answer, error) {
	if err := s.desk.RemoveStack(c.ctx(), c.caller, c.path["name"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) rebase(c *call) (answer, error) {
	release, err := s.desk.Rebase(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return created(api.RolledBack{Version: release.Version})
}

func wireStack(s platform.Stack) api.Stack {
	return api.Stack{
		Name: s.Name, Image: s.Image, Source: s.Source, System: s.System, Size: s.Size, InForce: s.InForce,
		Owner: s.Owner, Created: api.At(s.Created), Updated: api.At(s.Updated),
	}
}

// progress is an answer of JSON lines, each of which must get out in time.
type progress struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
	partial []byte
}

// Write sends whole lines. That nobody reads them is for the caller's context
// to tell.
func (p *progress) Write(text []byte) (int, error) {
	p.partial = append(p.partial, text...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(text), nil
		}
		p.send(api.StackProgress{Line: string(line)})
		p.partial = rest
	}
}

func (p *progress) send(line api.StackProgress) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", "application/x-ndjson")
		p.w.WriteHeader(http.StatusCreated)
	}
	text, err := json.Marshal(line)
	if err != nil {
		return // a value of ours always can be
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(lineTimeout))
	if _, err := p.w.Write(append(text, '\n')); err == nil {
		_ = p.control.Flush() // the next line tells
	}
}

// end lifts the deadline: the connection may carry another request.
func (p *progress) end() { _ = p.control.SetWriteDeadline(time.Time{}) }
