//go:build !unix

package storetest

import "errors"

func sharedCluster() (string, error) {
	return "", errors.New("VIGIE_TEST_POSTGRES is empty, and a private server is started on Unix only")
}
