package main

import (
	"fmt"
	"time"

	"vigie/secrets"
)

// KeysCmd makes and rotates keys.
type KeysCmd struct {
	Init   KeysInitCmd   `cmd:"" help:"Make the secrets file (mode 0600)."`
	Rotate KeysRotateCmd `cmd:"" help:"The next signing keys take over; services have known them since the last rotation."`
}

// KeysInitCmd makes the secrets file.
type KeysInitCmd struct {
	Secrets string `help:"Where to write it: not under the data folder." required:"" type:"path"`
}

// Run makes the file; it never overwrites one.
func (c *KeysInitCmd) Run(e env) error {
	s, err := secrets.Create(c.Secrets)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "made %s (fingerprint %s)\nEvery node needs the same file. Keep a copy away from the database and its backups: who has both can test PINs.\n", c.Secrets, s.Fingerprint())
	return nil
}

// KeysRotateCmd rotates keys.
type KeysRotateCmd struct {
	Secrets string `help:"The secrets file." required:"" type:"path"`
	Master  bool   `help:"Rotate the master secret too: phones move to it with their next right PIN, and those that have not moved in 90 days are activated again."`
}

// Run rotates; servers that run take the new file up within a minute.
func (c *KeysRotateCmd) Run(e env) error {
	s, err := secrets.Load(c.Secrets)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := s.RotateSigning(now); err != nil {
		return err
	}
	if c.Master {
		if err := s.RotateMaster(now); err != nil {
			return err
		}
	}
	fmt.Fprintln(e.out, "rotated. Copy the file to every node now: servers take it up within a minute, without a restart.")
	return nil
}
