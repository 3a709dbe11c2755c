// What an evaluation shows, in Chinese; the English text is the key.
// @ts-check

/** @type {Record<string, string>} */
export const FIGURES_ZH = {
  "Lips and sound": "口型与声音", "Steadiness": "稳定性", "Life": "生动性", "Look against the portrait": "与人像相比", "Person": "人物", "Body": "身体", "File": "文件",
  "mouth behind the sound": "口型滞后于声音", "opening follows the speech, r": "张口与语音的相关 r", "width follows the speech, r": "嘴宽与语音的相关 r", "opening at m, b, p over vowels'": "m、b、p 处张口与元音之比", "mouth moves, over what is heard": "口部动作与所听之比",
  "trembling of rigid points": "刚性点抖动", "flicker where nothing moves": "静止处闪烁", "repeated frames": "重复帧", "black frames": "黑帧", "frames without a face": "无人脸的帧",
  "length of a blink": "眨眼时长", "head turns": "头部转动", "head's range": "头部范围", "brows move": "眉毛动作", "detail of the mouth": "口部细节", "detail in the open mouth": "张口细节", "colour of the skin, ΔE": "肤色差 ΔE", "straight step at a paste-back": "贴回处接缝",
  "same person": "同一人", "score of the hands seen": "手部得分", "its variance": "其方差", "sound longer than pictures": "声音长于画面", "sound starts after pictures": "声音晚于画面", "frame rate": "帧率",
};
