package server_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// as is our own client, speaking to the door as the user.
func (d *door) as(user string) *client.Client {
	d.t.Helper()
	options := client.Options{URL: d.url}
	if user != "" {
		options.Token = tokenOf(user)
	}
	c, err := client.New(options)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func TestOurClientUnderstandsTheDoor(t *testing.T) {
	d := open(t)
	ctx, bob := t.Context(), d.as("bob")
	if err := bob.Check(ctx); err != nil {
		t.Error(err)
	}
	if user, err := bob.WhoAmI(ctx); err != nil || user.Username != "bob" || !user.DateJoined.Equal(born) {
		t.Error(user, err)
	}
	if app, err := bob.App(ctx, "blog"); err != nil || app.URLs[0] != "http://blog.localhost:8080" {
		t.Error(app, err)
	}
	port := "5000"
	config, err := bob.SetConfig(ctx, "blog", api.ConfigPatch{
		Values:      map[string]*string{"PORT": &port},
		Healthcheck: map[string]*api.Healthcheck{"web": {Liveness: &api.Probe{TCPSocket: &api.TCPSocket{Port: 5000}}}},
	})
	if err != nil || config.Values["PORT"] != "5000" || config.Healthcheck["web"].Liveness.TCPSocket.Port != 5000 {
		t.Error(config, err)
	}
	if _, err := bob.SetConfig(ctx, "blog", api.ConfigPatch{}); !errors.Is(err, platform.ErrConflict) {
		t.Error(err)
	}
	if version, err := bob.Rollback(ctx, "blog", 0); err != nil || version != 2 {
		t.Error(version, err)
	}
	if err := bob.Scale(ctx, "blog", api.Scale{"ghost": 1}); !errors.Is(err, platform.ErrNotFound) || !strings.Contains(err.Error(), "Container type ghost") {
		t.Error(err)
	}
	if pods, err := bob.Restart(ctx, "blog", "", ""); err != nil || len(pods) != 0 {
		t.Error(pods, err)
	}
	if key, err := bob.AddKey(ctx, "bob@host/x", "ssh-rsa AAAA"); err != nil || bob.RemoveKey(ctx, key.ID) != nil {
		t.Error(key, err)
	}
	if domain, err := bob.AddDomain(ctx, "blog", "*.example.com"); err != nil || bob.RemoveDomain(ctx, "blog", domain.Domain) != nil {
		t.Error(domain, err)
	}
	if where, err := bob.Platform(ctx); err != nil || where.GitSSH != "ssh://git@localhost:2222" {
		t.Error(where, err)
	}
	if _, err := bob.Doctor(ctx); !errors.Is(err, platform.ErrForbidden) {
		t.Error(err)
	}
	if _, _, err := d.as("").Apps(ctx, 0); !errors.Is(err, platform.ErrUnauthenticated) {
		t.Error(err)
	}
	d.desk.apps["blog"].lines = []platform.LogLine{{At: born, App: "blog", Source: platform.LogController, Text: "INFO hello"}}
	stream, err := bob.Logs(ctx, "blog", api.LogQuery{Lines: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if text, err := io.ReadAll(stream); err != nil || !strings.HasSuffix(string(text), "INFO hello\n") {
		t.Error(string(text), err)
	}
	if result, err := bob.Run(ctx, "blog", "date"); err != nil || result.ExitCode != 3 || result.Output != "ran date\nas bob\n" {
		t.Error(result, err)
	}
	var out bytes.Buffer
	if exit, err := bob.Attach(ctx, "blog", "cat", platform.IO{Stdin: strings.NewReader("hi"), Stdout: &out, Stderr: &out}); err != nil || exit != 3 || !strings.Contains(out.String(), "read hi") {
		t.Error(exit, err, out.String())
	}
	if err := bob.DestroyApp(ctx, "blog"); err != nil {
		t.Error(err)
	}
}

// Two people read a list, and each sends it with one more: the second one's
// would be without the first one's.
func TestAListThatAnotherChangedMeanwhileIsNotWrittenOver(t *testing.T) {
	d := open(t)
	ctx, bob := t.Context(), d.as("bob")
	deny := func(tag string, networks ...string) (api.Edge, error) {
		return bob.PatchEdgeAt(ctx, "blog", tag, map[string]any{"deny": networks})
	}
	_, tag, err := bob.EdgeAt(ctx, "blog")
	if err != nil || tag == "" {
		t.Fatal(tag, err)
	}
	if _, err := deny(tag, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	_, err = deny(tag, "192.0.2.2")
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Answer.Status != 412 || !errors.Is(err, platform.ErrStale) ||
		!strings.Contains(err.Error(), "was changed meanwhile") || !strings.Contains(err.Error(), "slipway edge") {
		t.Fatal(err)
	}
	edge, tag, err := bob.EdgeAt(ctx, "blog")
	if err != nil || len(edge.Deny) != 1 {
		t.Fatal(edge.Deny, err)
	}
	if edge, err = deny(tag, append(edge.Deny, "192.0.2.2")...); err != nil || len(edge.Deny) != 2 {
		t.Error(edge.Deny, err)
	}
	if _, err := deny("", "192.0.2.3"); err != nil { // who says nothing writes over it, as ever
		t.Error(err)
	}
}
