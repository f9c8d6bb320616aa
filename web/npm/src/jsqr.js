// Reads a QR code from pixels, for browsers without BarcodeDetector.
export { default } from 'jsqr';
