package acme

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/slipway-paas/slipway/internal/platform"
)

// solvers are how names can be proven here, by challenge.
func (k *Keeper) solvers() map[string]acmez.Solver {
	all := map[string]acmez.Solver{
		acme.ChallengeTypeHTTP01:    &shown{k.edge, k.board, httpProof},
		acme.ChallengeTypeTLSALPN01: &shown{k.edge, k.board, tlsProof},
	}
	if k.opt.DNS != nil {
		all[acme.ChallengeTypeDNS01] = k.opt.DNS
	}
	return all
}

// shown proves a name by what every router shows for it.
type shown struct {
	edge  Edge
	board *board
	proof func(acme.Challenge) (platform.EdgeCertificate, error)
}

// proofTime is how long routers may take to show a proof.
const proofTime = 15 * time.Second

// Present returns once all connected routers show the proof, those of other
// control planes too, for the authority may ask any of them.
func (s *shown) Present(ctx context.Context, c acme.Challenge) error {
	proof, err := s.proof(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	if err := s.board.post(ctx, c); err != nil {
		return err
	}
	version, err := s.edge.SetCertificates(map[string]*platform.EdgeCertificate{edgeName(s.board.place(c)): &proof})
	if err != nil {
		return err
	}
	if err := s.edge.Acked(ctx, version); err != nil {
		return fmt.Errorf("show the routers' proof for %s: %w", c.Identifier.Value, err)
	}
	s.board.await(ctx, c)
	return nil
}

// CleanUp takes the proof away.
func (s *shown) CleanUp(ctx context.Context, c acme.Challenge) error {
	_, err := s.edge.SetCertificates(map[string]*platform.EdgeCertificate{edgeName(s.board.place(c)): nil})
	return errors.Join(err, s.board.take(ctx, c))
}

func httpProof(c acme.Challenge) (platform.EdgeCertificate, error) {
	return platform.EdgeCertificate{
		Hosts: []string{c.Identifier.Value}, Challenge: &platform.EdgeChallenge{Token: c.Token, Answer: c.KeyAuthorization},
	}, nil
}

func tlsProof(c acme.Challenge) (platform.EdgeCertificate, error) {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return platform.EdgeCertificate{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return platform.EdgeCertificate{}, err
	}
	return platform.EdgeCertificate{
		Hosts: []string{c.Identifier.Value}, Challenge: &platform.EdgeChallenge{}, Certificate: chainText(cert.Certificate),
		Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}, nil
}
