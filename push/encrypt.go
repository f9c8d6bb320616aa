package push

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes. Every message is padded to one length, so that whoever watches or runs the push service does not read
// the name of a service off the length. 2 KiB rather than all of 4, because Firefox on Android receives its messages
// through a bridge that refuses more than about 3 000 (RFC 8030 §7.2 lets it).
const (
	MaxPayload = padded - 1

	padded     = 2048 // the payload, one delimiter, zeros
	authSize   = 16
	saltSize   = 16
	keySize    = 65
	tagSize    = 16
	headerSize = saltSize + 4 + 1 + keySize
	recordSize = 4096
	maxBody    = headerSize + recordSize
)

// Encrypt makes the body of a push message (RFC 8291 §3 and §4: one record of aes128gcm, RFC 8188).
func Encrypt(to Subscription, payload []byte) ([]byte, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: %d bytes of payload", ErrMessage, len(payload))
	}
	once, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("drawing a key for a push message: %w", err)
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return encrypt(to, payload, padded, once, salt)
}

// encrypt pads to size bytes, the delimiter included.
func encrypt(to Subscription, payload []byte, size int, once *ecdh.PrivateKey, salt []byte) ([]byte, error) {
	phone, err := ecdh.P256().NewPublicKey(to.P256dh)
	if err != nil || len(to.Auth) != authSize {
		return nil, fmt.Errorf("%w: keys of the wrong form", ErrSubscription)
	}
	shared, err := once.ECDH(phone)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSubscription, err)
	}
	seal, nonce, err := contentKey(shared, to.Auth, to.P256dh, once.PublicKey().Bytes(), salt)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, headerSize+size+tagSize)
	body = append(body, salt...)
	body = binary.BigEndian.AppendUint32(body, recordSize)
	body = append(body, keySize)
	body = append(body, once.PublicKey().Bytes()...)
	record := make([]byte, size)
	copy(record, payload)
	record[len(payload)] = 2 // the last record's delimiter, RFC 8188 §2
	return seal.Seal(body, nonce, record, nil), nil
}

// contentKey derives the key and nonce of the only record (RFC 8291 §3.4).
func contentKey(shared, auth, phone, once, salt []byte) (cipher.AEAD, []byte, error) {
	info := "WebPush: info\x00" + string(phone) + string(once)
	ikm, err := hkdf.Key(sha256.New, shared, auth, info, 32)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a push key: %w", err)
	}
	prk, err := hkdf.Extract(sha256.New, ikm, salt)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a push key: %w", err)
	}
	key, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a push key: %w", err)
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a push key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a push key: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	return gcm, nonce, err
}

// A Receiver is the phone's end of a subscription, as a browser keeps it: for phones that are not browsers.
type Receiver struct {
	Key  *ecdh.PrivateKey // P-256
	Auth []byte           // 16 bytes
}

// NewReceiver draws the keys of a receiver.
func NewReceiver() (Receiver, error) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return Receiver{}, fmt.Errorf("drawing the keys of a push receiver: %w", err)
	}
	auth := make([]byte, authSize)
	rand.Read(auth)
	return Receiver{key, auth}, nil
}

// Subscription is what senders need to reach r at endpoint.
func (r Receiver) Subscription(endpoint string) Subscription {
	return Subscription{Endpoint: endpoint, P256dh: r.Key.PublicKey().Bytes(), Auth: bytes.Clone(r.Auth)}
}

var errBody = errors.New("not a push message for this receiver")

// Decrypt opens the body of a push message and takes the padding off. More than one record is refused (RFC 8291 §4).
func (r Receiver) Decrypt(body []byte) ([]byte, error) {
	if len(body) < headerSize+1+tagSize || len(body) > maxBody {
		return nil, fmt.Errorf("%w: %d bytes", errBody, len(body))
	}
	salt, size, length := body[:saltSize], binary.BigEndian.Uint32(body[saltSize:]), body[saltSize+4]
	if length != keySize || size < 1+tagSize+1 || uint64(len(body)-headerSize) > uint64(size) {
		return nil, fmt.Errorf("%w: header", errBody)
	}
	point := body[headerSize-keySize : headerSize]
	once, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("%w: key", errBody)
	}
	shared, err := r.Key.ECDH(once)
	if err != nil {
		return nil, fmt.Errorf("%w: key", errBody)
	}
	open, nonce, err := contentKey(shared, r.Auth, r.Key.PublicKey().Bytes(), point, salt)
	if err != nil {
		return nil, err
	}
	record, err := open.Open(nil, nonce, body[headerSize:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: seal", errBody)
	}
	record = bytes.TrimRight(record, "\x00")
	if len(record) == 0 || record[len(record)-1] != 2 {
		return nil, fmt.Errorf("%w: padding", errBody)
	}
	return record[:len(record)-1], nil
}
