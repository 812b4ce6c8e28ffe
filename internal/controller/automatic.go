package controller

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Authority gets certificates by itself for whoever wants them, an app or, with
// an empty owner, the platform; *acme.Keeper is one.
type Authority interface {
	// Want makes hosts all that owner wants certificates for. It does not wait
	// for them. Users, whom apps belong to, take turns. anew tries at once what
	// failed.
	Want(owner, user string, hosts []string, anew bool)
	// State says how it stands with a host; false: nobody wants one for it.
	State(host string) (platform.HostCertificate, bool)
}

// nobody is the Authority of a platform that has none.
type nobody struct{}

func (nobody) Want(string, string, []string, bool) {}

func (nobody) State(string) (platform.HostCertificate, bool) {
	return platform.HostCertificate{}, false
}

// certify tells the authority which of an app's domains want a certificate:
// those that have none attached, unless the team does not want it. What fails is
// made up for by the next change, and at the next start.
func (c *Controller) certify(ctx context.Context, app string, anew bool) {
	c.certifyLock.Lock()
	defer c.certifyLock.Unlock()
	wants, err := c.automaticHosts(context.WithoutCancel(ctx), app)
	if err != nil {
		c.log.Warn("certificates of an app were not asked for", "app", app, "err", err)
		return
	}
	c.authority.Want(app, wants[app].user, wants[app].hosts, anew)
}

// CertifyAll tells the authority of the domains of all apps. Call it before it
// begins: what nobody wants then it takes away.
func (c *Controller) CertifyAll(ctx context.Context) error {
	c.certifyLock.Lock()
	defer c.certifyLock.Unlock()
	wants, err := c.automaticHosts(ctx, "")
	for app, want := range wants {
		c.authority.Want(app, want.user, want.hosts, false)
	}
	return err
}

// automaticHosts are those of an app.
type automaticHosts struct {
	user  string // who owns the app
	hosts []string
}

// automaticHosts are the hosts that want a certificate, by app; of all apps when
// app is empty.
func (c *Controller) automaticHosts(ctx context.Context, app string) (map[string]automaticHosts, error) {
	wants := make(map[string]automaticHosts)
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		clear(wants)
		domains, err := tx.AutomaticDomains(app)
		for _, d := range domains {
			wants[d.App] = automaticHosts{d.Owner, append(wants[d.App].hosts, c.fullHost(d.Domain))}
		}
		return err
	})
	return wants, err
}

// HostCertificates says what each of the app's hosts is served with, in the order
// of its domains, and whether certificates come by themselves.
func (c *Controller) HostCertificates(ctx context.Context, caller platform.Caller, app string) (all []platform.HostCertificate, automatic bool, err error) {
	uploads := make(map[string]platform.Certificate)
	var domains []platform.Domain
	err = c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if _, err = may(tx, caller, app, platform.RoleViewer); err != nil {
			return err
		}
		choice, err := tx.TLS(app)
		if err != nil {
			return err
		}
		automatic = choice.Automatic == nil || *choice.Automatic
		if domains, _, err = tx.Domains(app, platform.Page{Limit: maxDomains}); err != nil {
			return err
		}
		for _, d := range domains {
			if d.Certificate == "" {
				continue
			}
			if uploads[d.Domain], err = tx.CertificateByName(d.Certificate); err != nil {
				return err
			}
		}
		return nil
	})
	for _, d := range domains {
		all = append(all, c.hostCertificate(c.fullHost(d.Domain), uploads[d.Domain]))
	}
	return all, automatic, err
}

func (c *Controller) hostCertificate(host string, upload platform.Certificate) platform.HostCertificate {
	if upload.Name != "" {
		h := platform.HostCertificate{Host: host, Source: platform.SourceUploaded, Name: upload.Name, Issuer: upload.Issuer, Expires: upload.Expires}
		if time.Now().After(upload.Expires) {
			h.Problem = "it has expired, and clients refuse it"
		}
		return h
	}
	state, wanted := c.authority.State(host)
	state.Host = host
	if !wanted || state.Source == platform.SourceNone {
		state.Source = platform.SourcePlatform
	}
	return state
}

// SetAutomatic says whether the app's domains get certificates by themselves. What
// failed is tried again when it is said once more.
func (c *Controller) SetAutomatic(ctx context.Context, caller platform.Caller, app string, automatic bool) error {
	changed := false
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		choice, err := tx.TLS(app)
		if err != nil {
			return err
		}
		if changed = choice.Automatic == nil || *choice.Automatic != automatic; !changed {
			return nil
		}
		choice.UUID, choice.App, choice.Owner, choice.Automatic = uuid.NewString(), app, caller.User, &automatic
		choice.Updated = time.Now().Truncate(time.Second).UTC()
		if err := tx.PutTLS(choice); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "tls.changed", app, map[string]string{"automatic": strconv.FormatBool(automatic)}))
	})
	if err != nil {
		return err
	}
	if changed {
		c.note(app, "INFO certificates by themselves: %s", map[bool]string{true: "on", false: "off"}[automatic])
	}
	c.certify(ctx, app, true)
	if !changed {
		return nil
	}
	return c.reroute(ctx, app)
}

const (
	ticketsFile = "tickets"
	ticketLife  = time.Hour
	ticketKeys  = 3
)

// Tickets are the keys of session tickets that all routers share, the newest
// first; one of an hour of age gets a successor, and three are kept. Processes
// that share the store have the same.
func (c *Controller) Tickets(ctx context.Context) (keys []platform.TicketKey, err error) {
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		keys = nil
		text, err := tx.ACMEFile(ticketsFile)
		if err != nil && !errors.Is(err, platform.ErrNotFound) && !errors.Is(err, platform.ErrUnavailable) {
			return err
		}
		if err != nil || json.Unmarshal(text, &keys) != nil {
			keys = nil // none yet, or sealed under a key that is gone: sessions begin anew
		}
		now := time.Now().UTC().Truncate(time.Second)
		if len(keys) > 0 && now.Sub(keys[0].Made) < ticketLife && !keys[0].Made.After(now.Add(time.Minute)) {
			return nil
		}
		var fresh [32]byte
		_, _ = rand.Read(fresh[:]) // never fails
		keys = slices.Insert(keys, 0, platform.TicketKey{Key: base64.StdEncoding.EncodeToString(fresh[:]), Made: now})
		keys = keys[:min(len(keys), ticketKeys)]
		if text, err = json.Marshal(keys); err != nil {
			return err
		}
		return tx.PutACMEFile(ticketsFile, text)
	})
	return keys, err
}
