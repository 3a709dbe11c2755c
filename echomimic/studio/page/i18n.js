// English and Chinese. The English text is the key; help texts of options come from the server.
// @ts-check
import { FIGURES_ZH } from "./i18n_figures.js";
import { MESSAGES_ZH } from "./i18n_messages.js";
import { OPTIONS_ZH } from "./i18n_options.js";

/** @type {Record<string, string>} */
const ZH = {
  ...FIGURES_ZH,
  "Bench": "工作台", "Takes": "成片", "Queue": "队列", "Compare": "对比", "Live": "实时",
  "Portrait": "人像", "Speech": "语音", "Motion": "动作", "Model": "模型", "Output": "输出", "Diffusion": "扩散", "Provenance": "来源标记", "More": "更多", "Timeline": "时间轴", "Edits": "编辑",
  "Drop a photo here, paste it, or choose a file": "把照片拖到这里、粘贴，或选择文件", "Drop a recording here, or choose a file": "把录音拖到这里，或选择文件",
  "Take a picture": "拍照", "Shoot": "拍摄", "Cancel": "取消", "Change": "更换", "Record": "录音", "Stop recording": "停止录音", "Say typed text": "朗读文字", "Type what is to be said": "输入要说的话", "Say it": "朗读",
  "Uploading": "正在上传", "Looking for faces …": "正在查找人脸…", "No face was found. Use a picture that shows one clearly, from the front.": "没有找到人脸。请使用一张正面清晰的照片。",
  "faces found: choose who speaks": "张人脸：请选择说话的人", "Face": "人脸", "whole picture": "整幅图", "Show": "显示",
  "Motion comes from": "动作来源", "the speech": "语音", "Add a clip or motion file": "添加视频或动作文件",
  "Play": "播放", "Make the talk": "生成", "Render": "渲染", "Render with": "使用以下模型渲染", "Sample": "示例姿势", "Landmarks": "关键点", "Choose a portrait to begin.": "请先选择人像。",
  "Now choose what is to be said.": "再选择要说的内容。", "The talk is being rendered; it plays while it grows.": "正在渲染，边渲染边播放。",
  "Another seed": "换一个种子", "Reset": "复位", "Random": "随机",
  "reading": "读取", "face": "查找人脸", "audio": "分析语音", "preparing": "准备", "rendering": "渲染", "weights": "加载模型", "denoising": "去噪", "download": "下载", "edits": "编辑", "model": "模型", "portrait": "人像", "speech": "语音", "driver": "动作来源", "allow_silence": "允许静音",
  "Drag over the curves to choose a stretch, then say what happens to it.": "在曲线上拖选一段，再选择操作。", "whole take": "整段", "Chosen": "已选", "More of it": "增强", "Less": "减弱", "Smooth": "平滑", "Mute": "静止", "Mirror": "镜像", "Add a blink": "添加眨眼", "Replace from": "替换为",
  "Undo": "撤销", "Redo": "重做", "mouth": "嘴", "head": "头", "brows": "眉", "blinks": "眨眼", "body": "身体", "hands": "手", "Hands": "手", "Make it again with these edits": "按这些编辑重新生成", "V2 renders a take as a whole, so changed hands become a new take.": "V2 整体渲染，修改手部会生成新的成片。", "Remove": "删除", "Save the motion": "保存动作", "Start": "开始", "End": "结束", "seconds": "秒", "amount": "幅度",
  "Only this stretch is rendered anew.": "只重新渲染这一段。", "Save": "保存",
  "There are no takes yet. Make one on the bench.": "还没有成片。请在工作台生成。", "Star": "收藏", "Unstar": "取消收藏", "Download": "下载", "Delete": "删除", "Open": "打开", "Choose to compare": "选择对比", "Same again with": "用以下模型重做", "Really delete this take?": "确定删除这个成片？",
  "differs in": "不同之处", "Name": "名称", "Only starred": "只看收藏", "Side by side": "并排", "Wipe": "划像", "Play both": "同时播放", "Pause": "暂停", "Choose two takes to compare.": "请选择两个成片进行对比。", "Evaluate": "评测",
  "Nothing waits. Jobs that you start appear here, and go on when this page is closed.": "队列为空。任务会显示在这里，关闭页面后仍会继续。", "Stop": "停止", "Retry": "重试", "Earlier": "提前", "Later": "推后", "Forget": "移除", "left": "剩余", "waiting": "等待中", "running": "运行中", "done": "完成", "failed": "失败", "stopped": "已停止", "queued": "排队",
  "Fetch the files": "下载文件", "Models": "模型", "What is missing": "缺少什么", "ready": "就绪", "Storage": "存储", "free": "可用", "Remove takes older than 30 days (starred ones stay)": "删除 30 天前的成片（收藏的保留）", "freed": "已释放",
  "Measuring …": "正在评测…", "Where it is worst": "最差之处", "good": "良好", "poor": "欠佳", "What you gave": "上传的素材", "Free": "可用空间", "Files of": "模型文件：", "Edit of": "编辑：", "Loudness": "音量", "calm": "沉静", "natural": "自然", "lively": "活泼", "Carried by": "传输方式", "Delay": "延迟", "Play a sound file": "播放声音文件",
  "The portrait says what the microphone hears. Use headphones, so that it does not hear itself.": "人像会说出麦克风听到的话。请戴耳机，以免它听到自己。", "Strength": "强度", "Replaced": "已替换", "Blink": "眨眼",
  "this model draws every picture itself, so there are no curves here. Direct a preview take, then choose Same again with: its edits go along.": "该模型自行绘制每一帧，因此这里没有曲线。请先编辑预览成片，再选择“用以下模型重做”，编辑会一并带上。", "take": "成片", "files missing": "缺少文件",
  "The files of this model are missing.": "缺少该模型的文件。", "Optional: typed text needs a voice.": "可选：朗读文字需要语音包。",
  "Drag, or use the arrow keys; with Alt they move the end": "拖动，或用方向键；按住 Alt 移动终点",
  "Not connected": "未连接", "Not connected, trying again …": "未连接，正在重试…", "Fetch": "下载", "Show older takes": "显示更早的成片", "Zoom in": "放大", "Zoom out": "缩小",
  "That is a folder. Drop the file itself.": "这是一个文件夹。请拖入文件本身。", "this is neither a picture nor a sound, a video or a motion file": "这不是图片、声音、视频或动作文件",
  "That is an address or a text. Nothing is fetched from other sites: save the file first, then give it.": "这是网址或文字。本程序不从其他网站下载：请先保存文件，再提供文件。",
  "This page needs the studio's token": "此页面需要工作室的令牌", "The first line that `echomimic studio` printed ends with it. Paste that address, or what follows token=.": "它在 echomimic studio 打印的第一行末尾。请粘贴该地址，或 token= 之后的部分。", "Interrupt": "打断", "Speak with the microphone": "用麦克风说话", "Dark": "深色", "Light": "浅色", "Language": "语言", "Screens": "页面", "Skip to the content": "跳到正文",
  "The microphone needs https or this computer's own address (localhost).": "麦克风需要 https 或本机地址（localhost）。", "The browser gave no microphone.": "浏览器未授权麦克风。", "The browser gave no camera.": "浏览器未授权摄像头。", "Recording": "正在录音", "ready to play": "可以播放",
};

export const LANGUAGES = ["en", "zh"];
/** @type {string} */
export let language = localStorage.getItem("echomimic-language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** @param {string} chosen */
export function setLanguage(chosen) {
  language = chosen;
  localStorage.setItem("echomimic-language", chosen);
  document.documentElement.lang = chosen;
}

/** @param {string} text */
export const t = (text) => (language === "zh" && ZH[text]) || text;

/** What an option is for. @param {{name: string, help: string}} option */
export const help = (option) => (language === "zh" && OPTIONS_ZH[option.name]?.[1]) || option.help;

/** A line of the server, in Chinese where it is a usual one. @param {string} text */
export const remark = (text) => { const known = language === "zh" && MESSAGES_ZH.find(([pattern]) => pattern.test(text)); return known ? text.replace(known[0], known[1]) : text; };

/** An option's name for people. @param {string} name */
export const title = (name) => {
  const known = language === "zh" ? OPTIONS_ZH[name]?.[0] ?? ZH[name] : undefined;
  const words = name.replaceAll("_", " ");
  return known ?? words[0].toUpperCase() + words.slice(1);
};
