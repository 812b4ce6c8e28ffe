package dockerfile

import (
	"context"
	"encoding/base64"
	"net"
	"strings"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/images"
)

// session is what the child may ask for while the build runs; none of it is
// ever on a disk.
func (b *Builder) session(r builder.Request, s settings) []session.Attachable {
	attached := []session.Attachable{&credentials{builder: b, registry: r.Registry}, secretsprovider.FromMap(s.secrets)}
	if s.ssh != nil {
		attached = append(attached, s.ssh)
	}
	return attached
}

// credentials answers who this build is to a registry: the platform to its
// own, the app to the one its config names, and nobody to all others.
type credentials struct {
	auth.UnimplementedAuthServer
	builder  *Builder
	registry map[string]string
}

func (c *credentials) Register(server *grpc.Server) { auth.RegisterAuthServer(server, c) }

func (c *credentials) Credentials(_ context.Context, request *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	host := request.Host
	if host == "registry-1.docker.io" {
		host = images.DockerHub
	}
	o := c.builder.options
	if host == o.RegistryAddr {
		return &auth.CredentialsResponse{Username: o.RegistryUser, Secret: o.RegistryPassword}, nil
	}
	theirs := images.Credentials{Hostname: c.registry["hostname"]}.Host()
	mine := host == theirs
	for _, mirror := range o.Hosts.Mirrors[theirs] {
		mine = mine || mirror.Host == host
	}
	if mine {
		return &auth.CredentialsResponse{Username: c.registry["username"], Secret: c.registry["password"]}, nil
	}
	return &auth.CredentialsResponse{}, nil
}

// keyring is an SSH agent in memory for `RUN --mount=type=ssh`: a step can have
// things signed, and never sees the key.
type keyring struct {
	sshforward.UnimplementedSSHServer
	agent agent.Agent
}

// newKeyring reads a private key in PEM, or that in base64.
func newKeyring(text string) (*keyring, error) {
	text = strings.TrimSpace(text)
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(plain)
	}
	key, err := ssh.ParseRawPrivateKey([]byte(text + "\n"))
	if err != nil {
		return nil, err
	}
	k := &keyring{agent: agent.NewKeyring()}
	return k, k.agent.Add(agent.AddedKey{PrivateKey: key})
}

func (k *keyring) Register(server *grpc.Server) { sshforward.RegisterSSHServer(server, k) }

func (k *keyring) CheckAgent(_ context.Context, request *sshforward.CheckAgentRequest) (*sshforward.CheckAgentResponse, error) {
	if request.ID != "" && request.ID != sshforward.DefaultID {
		return nil, status.Errorf(codes.NotFound, "there is one SSH key for builds, without an id: not %q", request.ID)
	}
	return &sshforward.CheckAgentResponse{}, nil
}

func (k *keyring) ForwardAgent(stream sshforward.SSH_ForwardAgentServer) error {
	ours, theirs := net.Pipe()
	go func() {
		_ = agent.ServeAgent(readOnly{k.agent}, ours) // ends with the stream
		_ = ours.Close()
	}()
	return sshforward.Copy(stream.Context(), theirs, stream, nil)
}

// readOnly keeps a step from changing what later steps find.
type readOnly struct{ agent.Agent }

func (readOnly) Add(agent.AddedKey) error       { return errReadOnly }
func (readOnly) Remove(ssh.PublicKey) error     { return errReadOnly }
func (readOnly) RemoveAll() error               { return errReadOnly }
func (readOnly) Lock([]byte) error              { return errReadOnly }
func (readOnly) Unlock([]byte) error            { return errReadOnly }
func (readOnly) Signers() ([]ssh.Signer, error) { return nil, errReadOnly }

var errReadOnly = status.Error(codes.PermissionDenied, "the keys of a build cannot be changed")
