package server_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// changed is a copy of m with the patch in it, or nil as m when it is empty.
func changed[T any](name string, m map[string]T, patch map[string]*T) (map[string]T, error) {
	out := maps.Clone(m)
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		if out == nil {
			out = map[string]T{}
		}
		_, had := out[key]
		switch {
		case patch[key] != nil:
			out[key] = *patch[key]
		case !had:
			return m, &platform.UserError{Kind: platform.ErrUnprocessable, Message: key + " does not exist under " + name}
		default:
			delete(out, key)
		}
	}
	return out, nil
}

func changedNothing(caller platform.Caller) error {
	return &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing"}
}

func noUser(name string) error { return &platform.NotFoundError{Kind: "User", ID: name} }

// known are the users of the memory desk: those of the tests' doors.
var known = []string{"ada", "bob", "carol", "dave"}

func (d *memoryDesk) Transfer(_ context.Context, caller platform.Caller, id, owner string) error {
	app, err := d.of(caller, id, platform.RoleOwner)
	switch {
	case err != nil || owner == "":
		return err
	case !slices.Contains(known, owner):
		return noUser(owner)
	}
	app.app.Owner = owner
	return nil
}

func (d *memoryDesk) Rename(ctx context.Context, caller platform.Caller, id, fresh string) (platform.App, error) {
	app, err := d.of(caller, id, platform.RoleOwner)
	if err != nil {
		return platform.App{}, err
	}
	if d.apps[fresh] != nil {
		return platform.App{}, platform.Invalid("id", "Application with this id already exists.")
	}
	app.app.ID, d.apps[fresh] = fresh, app
	delete(d.apps, id)
	for i := range app.domains {
		if app.domains[i].Domain == id {
			app.domains[i].Domain = fresh
		}
	}
	return app.app, nil
}

func (d *memoryDesk) Collaborators(_ context.Context, caller platform.Caller, id string) ([]platform.Collaborator, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, err
	}
	var shared []platform.Collaborator
	for _, user := range slices.Sorted(maps.Keys(app.shared)) {
		shared = append(shared, platform.Collaborator{User: user, Role: app.shared[user]})
	}
	return shared, nil
}

func (d *memoryDesk) Grant(_ context.Context, caller platform.Caller, id, user string, role platform.Role) error {
	app, err := d.of(caller, id, platform.RoleAdmin)
	switch {
	case err != nil:
		return err
	case !slices.Contains(known, user):
		return noUser(user)
	}
	app.shared[user] = role
	return nil
}

func (d *memoryDesk) Revoke(_ context.Context, caller platform.Caller, id, user string) error {
	need := platform.RoleAdmin
	if caller.User == user {
		need = platform.RoleViewer
	}
	app, err := d.of(caller, id, need)
	switch {
	case err != nil:
		return err
	case !slices.Contains(known, user):
		return noUser(user)
	case app.shared[user] == "":
		return platform.ErrForbidden
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(app.shared, user)
	return nil
}

func (d *memoryDesk) CreateBuild(_ context.Context, caller platform.Caller, id string, build controller.NewBuild) (platform.Build, platform.Release, error) {
	app, err := d.of(caller, id, platform.RoleDeployer)
	if err != nil {
		return platform.Build{}, platform.Release{}, err
	}
	if build.Image == "busy" {
		return platform.Build{}, platform.Release{}, &platform.UserError{Kind: platform.ErrBusy, Message: "Deployment for blog-web is already in progress"}
	}
	made := platform.Build{
		UUID: "build-uuid", App: id, Owner: caller.User, SHA: build.SHA,
		Image: "blog@sha256:1", Source: build.Image, Kind: platform.ImageNamed, Ports: []int{8000}, Size: 1024,
		Procfile: build.Procfile, Dockerfile: build.Dockerfile, Created: born, Updated: born,
	}
	release := platform.Release{Version: len(app.releases) + 1, App: id, Owner: caller.User, Build: made.UUID}
	app.builds = append([]platform.Build{made}, app.builds...)
	app.releases = append([]platform.Release{release}, app.releases...)
	app.app.Procfile = build.Procfile
	return made, release, nil
}

func (d *memoryDesk) Exec(ctx context.Context, caller platform.Caller, id, instance, command string, stream platform.IO) (int, error) {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return 0, err
	}
	fmt.Fprintf(stream.Stdout, "in %s: %s\n", instance, command)
	return 4, ctx.Err()
}

func (d *memoryDesk) Audit(_ context.Context, caller platform.Caller, q platform.EventQuery) ([]platform.Event, int, error) {
	if q.App != "" {
		if _, err := d.of(caller, q.App, platform.RoleAdmin); err != nil {
			return nil, 0, err
		}
	} else if !caller.Admin {
		return nil, 0, platform.ErrForbidden
	}
	var found []platform.Event
	for _, e := range d.trail {
		if (q.App == "" || e.App == q.App) && (q.User == "" || e.User == q.User) && (q.Name == "" || e.Name == q.Name) &&
			!e.At.Before(q.Since) && (q.Until.IsZero() || e.At.Before(q.Until)) {
			found = append(found, e)
		}
	}
	return window(found, q.Page)
}

func (d *memoryDesk) AppsOf(ctx context.Context, user string) ([]string, error) {
	apps, _, err := d.Apps(ctx, platform.Caller{User: user}, platform.Page{Limit: 1000})
	var ids []string
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	return ids, err
}

func (d *memoryDesk) Whitelist(ctx context.Context, caller platform.Caller, id string) ([]string, error) {
	settings, err := d.Settings(ctx, caller, id)
	return settings.Whitelist, err
}

func (d *memoryDesk) AddWhitelist(_ context.Context, caller platform.Caller, id string, addresses []string) ([]string, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(app.settings.Whitelist)
	for _, address := range addresses {
		if _, err := netip.ParsePrefix(address); err != nil {
			if _, err := netip.ParseAddr(address); err != nil {
				return nil, platform.Invalid("addresses", "The address %s is not valid", address)
			}
		}
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	if len(all) == len(app.settings.Whitelist) {
		return nil, changedNothing(caller)
	}
	app.settings.Whitelist = all
	return all, nil
}

func (d *memoryDesk) RemoveWhitelist(_ context.Context, caller platform.Caller, id string, addresses []string) error {
	app, err := d.of(caller, id, platform.RoleAdmin)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if !slices.Contains(app.settings.Whitelist, address) {
			return &platform.UserError{Kind: platform.ErrUnprocessable, Message: "addresses {'" + address + "'} does not exist in whitelist"}
		}
	}
	app.settings.Whitelist = slices.DeleteFunc(app.settings.Whitelist, func(a string) bool { return slices.Contains(addresses, a) })
	return nil
}

func (d *memoryDesk) TLS(_ context.Context, caller platform.Caller, id string) (platform.TLS, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return platform.TLS{}, err
	}
	return app.tls, nil
}

func (d *memoryDesk) SetTLS(_ context.Context, caller platform.Caller, id string, enforced bool) (platform.TLS, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.TLS{}, err
	}
	if app.tls.Enforced != nil && *app.tls.Enforced == enforced {
		return platform.TLS{}, changedNothing(caller)
	}
	app.tls.Enforced = &enforced
	return app.tls, nil
}

func (d *memoryDesk) HostCertificates(_ context.Context, caller platform.Caller, id string) ([]platform.HostCertificate, bool, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, false, err
	}
	return []platform.HostCertificate{{Host: id + ".example.com", Source: platform.SourcePlatform}}, app.tls.Automatic == nil || *app.tls.Automatic, nil
}

func (d *memoryDesk) SetAutomatic(_ context.Context, caller platform.Caller, id string, automatic bool) error {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err == nil {
		app.tls.Automatic = &automatic
	}
	return err
}

func (d *memoryDesk) Services(_ context.Context, caller platform.Caller, id string) ([]platform.Service, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, err
	}
	return app.services, nil
}

func (d *memoryDesk) SetService(_ context.Context, caller platform.Caller, id, process, pattern string) (bool, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return false, err
	}
	fresh := platform.Service{App: id, Process: process, Pattern: pattern}
	if slices.Contains(app.services, fresh) {
		return false, nil
	}
	app.services = slices.DeleteFunc(app.services, func(s platform.Service) bool { return s.Process == process })
	app.services = append([]platform.Service{fresh}, app.services...)
	return true, nil
}

func (d *memoryDesk) RemoveService(_ context.Context, caller platform.Caller, id, process string) error {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return err
	}
	before := len(app.services)
	app.services = slices.DeleteFunc(app.services, func(s platform.Service) bool { return s.Process == process })
	if len(app.services) == before {
		return &platform.NotFoundError{Kind: "Service", ID: process}
	}
	return nil
}

func (d *memoryDesk) cert(caller platform.Caller, name string) (*platform.Certificate, error) {
	for i := range d.certs {
		if d.certs[i].Name == name && d.certs[i].Owner == caller.User {
			return &d.certs[i], nil
		}
	}
	return nil, &platform.NotFoundError{Kind: "Certificate", ID: name}
}

func (d *memoryDesk) Certificates(_ context.Context, caller platform.Caller, page platform.Page) ([]platform.Certificate, int, error) {
	var own []platform.Certificate
	for _, cert := range d.certs {
		if cert.Owner == caller.User {
			own = append(own, cert)
		}
	}
	return window(own, page)
}

func (d *memoryDesk) Certificate(_ context.Context, caller platform.Caller, name string) (platform.Certificate, error) {
	cert, err := d.cert(caller, name)
	if err != nil {
		return platform.Certificate{}, err
	}
	return *cert, nil
}

func (d *memoryDesk) AddCertificate(_ context.Context, caller platform.Caller, name, chain, _ string) (platform.Certificate, error) {
	switch {
	case slices.ContainsFunc(d.certs, func(c platform.Certificate) bool { return c.Name == name }):
		return platform.Certificate{}, platform.Invalid("name", "certificate with this name already exists.")
	case !strings.HasPrefix(chain, "-----BEGIN CERTIFICATE"):
		return platform.Certificate{}, platform.Invalid("certificate", "Could not load certificate: no PEM")
	}
	d.certs = append(d.certs, platform.Certificate{
		ID: int64(len(d.certs) + 1), Name: name, Owner: caller.User, Fingerprint: "8F:8E",
		Issuer: "/CN=x", Subject: "/CN=x", Starts: born, Expires: born, Created: born, Updated: born,
	})
	return d.certs[len(d.certs)-1], nil
}

func (d *memoryDesk) RemoveCertificate(_ context.Context, caller platform.Caller, name string) error {
	if _, err := d.cert(caller, name); err != nil {
		return err
	}
	d.certs = slices.DeleteFunc(d.certs, func(c platform.Certificate) bool { return c.Name == name })
	return nil
}

// served finds the app's domain, which the caller must operate.
func (d *memoryDesk) served(caller platform.Caller, domain string) error {
	for id, app := range d.apps {
		if slices.ContainsFunc(app.domains, func(o platform.Domain) bool { return o.Domain == domain }) {
			_, err := d.of(caller, id, platform.RoleOperator)
			return err
		}
	}
	return &platform.NotFoundError{Kind: "Domain", ID: domain}
}

func (d *memoryDesk) Attach(_ context.Context, caller platform.Caller, name, domain string, _ bool) error {
	cert, err := d.cert(caller, name)
	if err == nil {
		err = d.served(caller, domain)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(d.certs, func(c platform.Certificate) bool { return slices.Contains(c.Domains, domain) }) {
		return &platform.UserError{Kind: platform.ErrConflict, Message: "Domain already has a certificate attached to it"}
	}
	cert.Domains = append(cert.Domains, domain)
	return nil
}

func (d *memoryDesk) Detach(_ context.Context, caller platform.Caller, name, domain string) error {
	cert, err := d.cert(caller, name)
	if err == nil {
		err = d.served(caller, domain)
	}
	if err == nil {
		cert.Domains = slices.DeleteFunc(cert.Domains, func(o string) bool { return o == domain })
	}
	return err
}
